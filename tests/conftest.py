"""Fixtures that more than one folder of tests uses."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from toy_engine import toy_model, write_quantised

from realnet_edge.bundle import (
    Bundle,
    Calibration,
    EngineKey,
    EngineTarget,
    InputSpec,
    Manifest,
    Threshold,
    write_bundle,
)
from realnet_edge.kernels.catalogue import find_kernels
from realnet_edge.kernels.compiled import CompiledKernel
from realnet_edge.kernels.kernel_set import KernelSet, LoadedKernel
from realnet_edge.kernels.ptxas import Resources

LONG = ("test_trainer.py", "test_full_strength.py", "test_onnx_export.py")
DATA_VARIABLE = "REALNET_EDGE_DATA"
REPOSITORY = Path(__file__).resolve().parents[1]
# Grey level of frame i: every third one is white, which the toy engine calls a defect.
VIDEO_LEVELS = (10, 20, 255)
# Runs a program in a Python where packages cannot be found, as if they had never been installed.
_LACKING = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {names!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
{program}
"""


@pytest.fixture(scope="session")
def repository() -> Path:
    """The checkout's root."""
    return REPOSITORY


@pytest.fixture(scope="session")
def golden() -> Path:
    """Folder of the golden cases: outputs of the official implementation."""
    return REPOSITORY / "tests" / "golden"


@pytest.fixture(scope="session")
def mvtec_root() -> Path:
    """Folder of real MVTec AD categories (it holds `screw/`), or a skip that says what is missing."""
    named = os.environ.get(DATA_VARIABLE)
    if not named:
        pytest.skip(f"{DATA_VARIABLE} is not set: needs a folder with MVTec AD's category screw")
    root = Path(named)
    # A variable that points nowhere is a mistake, not a machine without the data.
    assert (root / "screw" / "train" / "good").is_dir(), f"{DATA_VARIABLE}={named} holds no screw/train/good"
    return root


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first; skip tests marked `gpu` where there is none, with the reason."""
    # A file is one worker's: one that takes minutes and comes last has the others wait for it.
    items.sort(key=lambda item: item.path.name not in LONG)
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if marked and not _has_gpu():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="needs an NVIDIA GPU that this machine does not have"))


def _has_gpu() -> bool:
    return Path("/dev/nvidia0").exists() or Path("/dev/nvhost-gpu").exists()


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built wheel, made from a copy of the tree so that no earlier build leaves anything in it."""
    source = tmp_path_factory.mktemp("source")
    for folder in ("realnet_edge", "kernels", "export", "calibrate"):
        shutil.copytree(REPOSITORY / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, source / name)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", "dist", "."]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    (built,) = (source / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="session")
def toy_onnx(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Writes small engine graphs that obey the contract and whose answer is known in closed form.

    The map of a pixel with mean brightness b in [0, 1] is sigmoid(24 (b - 0.5)), the score the largest
    8x8 average: a white image is a defect, a black one is good. `depth` adds convolutions that take time
    and change nothing; `quantised` adds Q/DQ pairs round the convolutions.
    """
    folder = tmp_path_factory.mktemp("toy")

    def make(size: int = 32, depth: int = 1, quantised: bool = False, external: bool = False) -> Path:
        import onnx

        path = (
            folder / f"toy-{size}-{depth}{'-int8' if quantised else ''}{'-external' if external else ''}.onnx"
        )
        if path.exists():
            return path
        if quantised:
            write_quantised(make(size, depth), path, size)
        else:
            extra = {"save_as_external_data": True, "location": f"{path.name}.data", "size_threshold": 1024}
            onnx.save_model(toy_model(size, depth), path, **(extra if external else {}))
        return path

    return make


@pytest.fixture(scope="session")
def toy_bundle(toy_onnx: Callable[..., Path]) -> Callable[..., Bundle]:
    """Writes a bundle of a toy engine: `toy_bundle(path, backend, precision, size=..., depth=...)`."""

    def make(
        path: Path,
        backend: str = "onnxruntime",
        precision: str = "fp32",
        threshold: float | None = 0.5,
        category: str = "toy",
        **graph: int,
    ) -> Bundle:
        model = toy_onnx(quantised=precision == "int8", **graph)
        files = {"model.onnx": model}
        if backend == "openvino":
            import openvino

            half = precision == "fp16"
            openvino.save_model(
                openvino.convert_model(model), model.with_suffix(".xml"), compress_to_fp16=half
            )
            files = {f"model{suffix}": model.with_suffix(suffix) for suffix in (".xml", ".bin")}
        size = graph.get("size", 32)
        manifest = Manifest(
            category=category,
            input=InputSpec(size, size),
            score_rule="max",
            backend=backend,
            precision=precision,
            arithmetic="f32",
            batch=(1, 4),
            engine=next(iter(files)),
            builder={"onnx": "toy"},
            checkpoint_sha256="0" * 64,
            created="2026-01-31T12:00:00Z",
            calibration=Calibration("minmax", 3, "1" * 64, weight_bits=7) if precision == "int8" else None,
            threshold=None if threshold is None else Threshold(threshold, 0.01, 0.01, 120, "split-conformal"),
            engine_key=_foreign_key(precision) if backend == "tensorrt" else None,
        )
        return write_bundle(path, files, manifest)

    return make


@pytest.fixture(scope="session")
def uncompiled() -> Callable[..., KernelSet]:
    """`uncompiled(names)`: kernels as the compiler describes them, with their names for code.

    Who only carries code, or computes by the names, needs no compiler.
    """
    return lambda names, sm=87: KernelSet({name: _uncompiled(name, sm) for name in names})


@pytest.fixture(scope="session")
def write_video() -> Callable[..., Path]:
    """`write_video(path, frames, size=(48, 64))`: frame i is flat, VIDEO_LEVELS[i % 3]."""

    def write(path: Path, frames: int, size: tuple[int, int] = (48, 64)) -> Path:
        codec = cv2.VideoWriter.fourcc(*("MJPG" if path.suffix == ".avi" else "mp4v"))
        writer = cv2.VideoWriter(str(path), codec, 25.0, (size[1], size[0]))
        assert writer.isOpened(), path
        for number in range(frames):
            writer.write(np.full((*size, 3), VIDEO_LEVELS[number % 3], np.uint8))
        writer.release()
        return path

    return write


@pytest.fixture(scope="session")
def without_packages() -> Callable[..., subprocess.CompletedProcess[str]]:
    """`without_packages(names, program, *arguments, code=0)`: run by a Python that finds none of them."""
    return _without_packages


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """Eleven images, part2 and part6 white (defects), part10 cut short."""
    folder = tmp_path / "parts"
    folder.mkdir()
    for number in range(11):
        level = 255 if number in (2, 6) else 10
        Image.fromarray(np.full((40, 50, 3), level, np.uint8)).save(folder / f"part{number}.png")
    cut = folder / "part10.png"
    cut.write_bytes(cut.read_bytes()[:40])
    (folder / "notes.txt").write_text("not an image")
    return folder


@pytest.fixture(scope="session")
def published_copy() -> Callable[..., Path]:
    """`published_copy(root, layout, category, counts, kinds)` writes a category in a published layout.

    `counts` are good images to train, good ones to test and defects, which the kinds share. Images are
    different 8x8 pictures named as in the data sets; a mask marks its upper left quarter with the value 2.
    """

    def make(
        root: Path,
        layout: str,
        category: str,
        counts: tuple[int, int, int],
        kinds: tuple[str, ...] = ("bad",),
    ) -> Path:
        folder = root / category
        rows = ["object,split,label,image,mask"]
        for number, (use, index, kind) in enumerate(_uses(counts, kinds)):
            image, mask = _published_names(layout, use, index, kind)
            shown = np.full((8, 8, 3), (number // 100, number % 100, 90), np.uint8)
            # Four flat blocks with a value of their own outlive JPEG, so no two files are the same.
            shown[:4, :4], shown[4:, 4:] = 200 - number % 100, 40 + number // 100
            _save(folder / image, shown)
            if use == "defect":
                marked = np.zeros((8, 8), np.uint8)
                marked[:4, :4] = 2
                _save(folder / mask, marked)
            split, label = (
                ("train" if use == "train" else "test"),
                ("anomaly" if use == "defect" else "normal"),
            )
            rows.append(f"{category},{split},{label},{category}/{image},{mask if use == 'defect' else ''}")
        if layout == "visa":
            file = root / "split_csv" / "1cls.csv"
            file.parent.mkdir(exist_ok=True)
            before = file.read_bytes().decode().splitlines() if file.exists() else rows[:1]
            file.write_bytes("\r\n".join([*before, *rows[1:], ""]).encode())
        return folder

    return make


def _without_packages(
    names: tuple[str, ...], program: str, *arguments: str | Path, code: int = 0
) -> subprocess.CompletedProcess[str]:
    source = _LACKING.format(names=names, program=program)
    done = subprocess.run(
        [sys.executable, "-c", source, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


def _uses(counts: tuple[int, int, int], kinds: tuple[str, ...]) -> list[tuple[str, int, str]]:
    """(use, number in its folder, kind) of each image."""
    train, good, defects = counts
    return [
        *(("train", index, "good") for index in range(train)),
        *(("good", index, "good") for index in range(good)),
        *(("defect", index // len(kinds), kinds[index % len(kinds)]) for index in range(defects)),
    ]


def _published_names(layout: str, use: str, index: int, kind: str) -> tuple[str, str]:
    """The image's and the mask's name below the category's folder."""
    if layout == "visa":
        # Normal ones to test are numbered on from those to train.
        number = index if use == "train" else 5000 + index
        place = f"Anomaly/{index:03}.JPG" if use == "defect" else f"Normal/{number:04}.JPG"
        return f"Data/Images/{place}", f"Data/Masks/Anomaly/{index:03}.png"
    if layout == "mvtec2":
        folder = {"train": "train/good", "good": "test_public/good", "defect": "test_public/bad"}[use]
        name = f"{index:03}_overexposed" if use == "defect" else f"{index:03}_regular"
        return f"{folder}/{name}.png", f"test_public/ground_truth/bad/{name}_mask.png"
    if layout == "btad":
        folder = {"train": "train/ok", "good": "test/ok", "defect": "test/ko"}[use]
        return f"{folder}/{index:04}.bmp", f"ground_truth/ko/{index:04}.png"
    folder = {"train": "train/good", "good": "test/good", "defect": f"test/{kind}"}[use]
    return f"{folder}/{index:03}.png", f"ground_truth/{kind}/{index:03}_mask.png"


def _save(path: Path, picture: npt.NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path)


def _uncompiled(name: str, sm: int) -> LoadedKernel:
    (spec,) = find_kernels((name,))
    code = name.encode()
    about = CompiledKernel(
        name=name,
        sm=sm,
        ptx_version=85,
        cuda="12.5",
        parameters=spec.parameters,
        constants=dict(spec.constants),
        aligned=tuple(spec.aligned),
        num_warps=spec.num_warps,
        num_stages=spec.num_stages,
        fp_fusion=spec.fp_fusion,
        threads_per_block=32 * spec.num_warps,
        dynamic_shared=0,
        scratch_parameters="stripped",
        global_scratch=0,
        profile_scratch=0,
        triton="none",
        ptxas="none",
        resources=Resources(1, 0, 0, 0, 0),
        source_sha256="0" * 64,
        key="0" * 64,
        ptx_sha256=None,
        cubin_sha256=hashlib.sha256(code).hexdigest(),
    )
    return LoadedKernel(about, code)


def _foreign_key(precision: str) -> EngineKey:
    """As if some other machine had built an engine."""
    target = EngineTarget("tensorrt", "10.3.0", "a GPU of nobody", "8.7", "12.6")
    return EngineKey(
        target=target, graph_sha256="2" * 64, precision=precision, profile=(1, 1, 4), settings={"tf32": False}
    )
