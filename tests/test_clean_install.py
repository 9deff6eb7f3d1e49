"""The wheel alone, with its base requirements, in a new environment: bundles run there without torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from uv import find_uv_bin

from realnet_edge.bundle import Bundle, InputSpec, Manifest, Threshold, write_bundle
from realnet_edge.config import ModelConfig
from realnet_edge.runtime import open_runner

SIZE = 64
CATEGORY = "part"
Program = Callable[..., "subprocess.CompletedProcess[str]"]

INFER = """
import importlib.util, json, sys
from pathlib import Path
import numpy as np
from realnet_edge.bundle import load_bundle
from realnet_edge.imaging import load_batch
from realnet_edge.runtime import open_runner
images = load_batch(sorted(Path(sys.argv[2]).glob("*.png")), (int(sys.argv[3]),) * 2)
with open_runner(load_bundle(Path(sys.argv[1])), threads=1) as runner:
    prediction = runner.infer(images)
np.save(sys.argv[4], prediction.anomaly_map)
absent = [name for name in ("torch", "timm", "torchvision", "onnx") if importlib.util.find_spec(name) is None]
print(json.dumps({"scores": prediction.score.tolist(), "absent": absent}))
"""


@pytest.fixture(scope="module")
def clean(wheel: Path, repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Program:
    """Runs a program of a new environment that holds the wheel and what it requires, nothing else."""
    folder = tmp_path_factory.mktemp("clean")
    python = folder / "venv" / "bin" / "python"
    uv = find_uv_bin()
    pins = repository / "constraints.txt"
    install = ["pip", "install", "--quiet", "--python", python, "-c", pins, wheel]
    for arguments in (["venv", "--quiet", "--python", sys.executable, folder / "venv"], install):
        done = subprocess.run([uv, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def run(program: str, *arguments: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        done = subprocess.run(
            [python.with_name(program), *arguments],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done

    return run


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three pictures of different content and size."""
    folder = tmp_path_factory.mktemp("frames")
    rng = np.random.default_rng(5)
    for i, height in enumerate((64, 80, 100)):
        pixels = rng.integers(0, 256, (height, 90, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    return folder


@pytest.fixture(scope="module")
def workspace(frames: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with one ONNX Runtime bundle of a small RealNet, untrained but exported as any other."""
    root = tmp_path_factory.mktemp("workspace")
    _export_bundle(root / CATEGORY / "bundles" / "onnxruntime-fp32", root / "onnx" / "model.onnx", frames)
    return root


def _export_bundle(path: Path, onnx: Path, frames: Path) -> Bundle:
    import torch

    from realnet_edge.export import onnx_from_checkpoint
    from realnet_edge.imaging import load_batch
    from realnet_edge.model import RealNet
    from realnet_edge.model.checkpoint import Checkpoint

    torch.manual_seed(0)
    config = ModelConfig(
        backbone="tf_efficientnet_lite0",
        taps=(1, 2, 3),
        planes=(8, 8, 8),
        widths=(8, 8, 8),
        rrs_max=4,
        rrs_mean=4,
        image_size=SIZE,
    )
    checkpoint = Checkpoint(
        model=RealNet(config).eval(),
        config=config,
        category=CATEGORY,
        splits={},
        data={},
        foreground={},
        score_rule=config.score_rule,
        training={},
        sha256="0" * 64,
    )
    onnx_from_checkpoint(checkpoint, onnx, load_batch(sorted(frames.glob("*.png")), (SIZE, SIZE)))
    manifest = Manifest(
        category=CATEGORY,
        input=InputSpec(SIZE, SIZE),
        score_rule=config.score_rule,
        backend="onnxruntime",
        precision="fp32",
        arithmetic="f32",
        batch=(1, 8),
        engine=onnx.name,
        builder={},
        checkpoint_sha256=checkpoint.sha256,
        created="2026-01-31T12:00:00Z",
        threshold=Threshold(0.5, 0.1, 0.1, 9, "split-conformal"),
    )
    return write_bundle(path, {onnx.name: onnx}, manifest)


def _maps_here(bundle: Path, frames: Path) -> npt.NDArray[np.float32]:
    from realnet_edge.bundle import load_bundle
    from realnet_edge.imaging import load_batch

    with open_runner(load_bundle(bundle), threads=1) as runner:
        return runner.infer(load_batch(sorted(frames.glob("*.png")), (SIZE, SIZE))).anomaly_map


def test_bundle_runs_without_torch(clean: Program, workspace: Path, frames: Path, tmp_path: Path) -> None:
    bundle = workspace / CATEGORY / "bundles" / "onnxruntime-fp32"
    maps = tmp_path / "maps.npy"
    done = clean("python", "-c", INFER, bundle, frames, str(SIZE), maps)
    result = json.loads(done.stdout)
    assert result["absent"] == ["torch", "timm", "torchvision", "onnx"]
    here = _maps_here(bundle, frames)
    np.testing.assert_allclose(np.load(maps), here, atol=1e-6)
    assert here.std() > 0
    assert len(result["scores"]) == 3


def test_commands_run_without_torch(clean: Program, workspace: Path, frames: Path) -> None:
    options = ["--workspace", workspace, "--category", CATEGORY]
    lines = clean("realnet-edge", "run", *options, "--source", frames).stdout.splitlines()
    assert len([json.loads(line) for line in lines]) == 3
    environment = json.loads(clean("realnet-edge", "env", "--workspace", workspace, "--json").stdout)
    train = next(extra for extra in environment["extras"] if extra["name"] == "train")
    assert train["hint"] == "pip install 'realnet-edge[train]'"
    assert environment["workspace"]["categories"][0]["bundles"] == ["onnxruntime-fp32"]


def test_command_that_needs_an_extra_names_it(clean: Program, workspace: Path) -> None:
    options = ["--workspace", workspace, "--category", CATEGORY]
    done = clean("realnet-edge", "export", *options, code=1)
    assert "realnet-edge[train]" in done.stderr
    assert "Traceback" not in done.stderr
