"""A workspace with a small trained-like category on real images, exported once for all tests."""

from __future__ import annotations

import dataclasses
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from realnet_edge.bundle import Bundle, write_bundle
from realnet_edge.calibrate import Sources, ensure_onnx, open_sources, prepare_bundle
from realnet_edge.config import ModelConfig
from realnet_edge.data import CategoryData, Splits, load_category
from realnet_edge.files import write_json
from realnet_edge.imaging import load_batch
from realnet_edge.kernels.kernel_set import KernelSet
from realnet_edge.kernels.rrs_call import RrsSettings
from realnet_edge.model import RealNet
from realnet_edge.model.backbone import load_pretrained
from realnet_edge.model.checkpoint import Checkpoint, save_checkpoint
from realnet_edge.workspace import Workspace

SIZE = 64
Without = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def screw(mvtec_root: Path) -> CategoryData:
    return load_category(mvtec_root, "screw")


@pytest.fixture(scope="session")
def splits(screw: CategoryData) -> Splits:
    names = [screw.relative(path) for path in screw.train[:40]]
    return Splits(tuple(names[:16]), tuple(names[16:32]), tuple(names[32:]), seed=0)


@pytest.fixture(scope="session")
def calibration_images(screw: CategoryData, splits: Splits) -> npt.NDArray[np.uint8]:
    return load_batch(splits.paths(screw.root, "calibration"), (SIZE, SIZE))


@pytest.fixture(scope="session")
def workspace(screw: CategoryData, splits: Splits, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Holds the checkpoint of `screw`: ImageNet's backbone, the rest random but settled on real images."""
    torch.manual_seed(0)
    config = ModelConfig.for_backbone(
        "tf_efficientnet_lite0",
        image_size=SIZE,
        taps=(1, 2),
        planes=(24, 32),
        widths=(16, 16),
        rrs_max=8,
        rrs_mean=8,
        standardise=False,
    )
    model = RealNet(config)
    load_pretrained(model.backbone, config)
    for parameter in model.reconstruction.parameters():
        # Output layers start at zero, which would hide everything before them.
        if not parameter.detach().any():
            torch.nn.init.normal_(parameter, std=0.05)
    batch = model.inputs(torch.from_numpy(load_batch(screw.train[:8], (SIZE, SIZE))))
    with torch.no_grad():
        for _ in range(20):
            model.train()(batch)
    made = Workspace(tmp_path_factory.mktemp("workspace"))
    data = {"root": str(screw.root), "layout": screw.layout}
    checkpoint = Checkpoint(model.eval(), config, "screw", splits.to_dict(), data, {})
    save_checkpoint(made.category("screw").checkpoint, checkpoint)
    return made


@pytest.fixture(scope="session")
def sources(workspace: Workspace) -> Sources:
    return open_sources(workspace, "screw")


@pytest.fixture(scope="session")
def graph(sources: Sources) -> Path:
    """The exported FP32 ONNX file, in the workspace."""
    return ensure_onnx(sources)[0]


@pytest.fixture(scope="session")
def write_kernels(uncompiled: Callable[..., KernelSet]) -> Callable[[Path], Path]:
    """`write_kernels(folder)`: for an Orin and the category's network, two blocks in float32."""
    names = RrsSettings(8, 8, 0, 0, 1e-5).kernels(2, "f32")

    def write(folder: Path) -> Path:
        for name, kernel in uncompiled(names).kernels.items():
            write_json(folder / "sm_87" / f"{name}.json", kernel.about.to_dict())
            (folder / "sm_87" / f"{name}.cubin").write_bytes(kernel.cubin)
        return folder

    return write


# As a target has it: the base installation and a runtime.
ABSENT = ("torch", "torchvision", "timm", "safetensors", "onnx", "onnx_ir", "onnxscript")


@pytest.fixture(scope="session")
def prepared(workspace: Workspace) -> Callable[..., Bundle]:
    """`prepared(backend, precision)`: made once, to be copied before it is changed."""
    made: dict[tuple[str, str], Bundle] = {}

    def prepare(backend: str, precision: str) -> Bundle:
        key = (backend, precision)
        if key not in made:
            made[key] = prepare_bundle(workspace, "screw", precision, backend)
        return made[key]

    return prepare


@pytest.fixture(scope="session")
def clean(without_packages: Without) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`clean(program, *arguments)`: what a machine without torch and onnx does."""
    return partial(without_packages, ABSENT)


@pytest.fixture(scope="session")
def altered() -> Callable[..., Bundle]:
    """`altered(bundle, folder, files, **limits)`."""
    return _altered


def _altered(
    bundle: Bundle, folder: Path, replaced: dict[str, Path] | None = None, **changes: float
) -> Bundle:
    """A prepared bundle with other limits or files, whose hashes are right."""
    stated = bundle.manifest
    assert stated.preparation is not None
    manifest = dataclasses.replace(stated, preparation=dataclasses.replace(stated.preparation, **changes))
    files = {name: bundle.path / name for name in stated.files} | (replaced or {})
    return write_bundle(folder, files, manifest)
