"""The wheel alone, with its base requirements, in a new environment: bundles run there without torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from uv import find_uv_bin

from realnet_edge.bundle import Bundle, InputSpec, Manifest, Threshold, load_bundle, write_bundle
from realnet_edge.config import ModelConfig
from realnet_edge.imaging import load_batch
from realnet_edge.runtime import open_runner

CATEGORY = "part"
BUNDLE = Path(CATEGORY, "bundles", "onnxruntime-fp32")
BASE_LACKS = ["torch", "timm", "torchvision", "onnx"]
Program = Callable[..., "subprocess.CompletedProcess[str]"]

INFER = """
import importlib.util, json, sys
from pathlib import Path
import numpy as np
from realnet_edge.bundle import load_bundle
from realnet_edge.imaging import load_batch
from realnet_edge.runtime import open_runner
with open_runner(load_bundle(Path(sys.argv[1])), threads=1) as runner:
    images = load_batch(sorted(Path(sys.argv[2]).glob("*.png")), runner.input_size)
    np.save(sys.argv[3], runner.infer(images).anomaly_map)
print(json.dumps([name for name in sys.argv[4:] if importlib.util.find_spec(name) is None]))
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
def workspace(toy_bundle: Callable[..., Bundle], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with one bundle of a graph that obeys the contract."""
    root = tmp_path_factory.mktemp("workspace")
    toy_bundle(root / BUNDLE, category=CATEGORY)
    return root


def _export_realnet(root: Path, frames: Path) -> Bundle:
    """A bundle of a small RealNet: untrained, else exported like any other."""
    from realnet_edge.export import onnx_from_checkpoint
    from realnet_edge.model import RealNet
    from realnet_edge.model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint

    size = 64
    config = ModelConfig("resnet18", (1, 2), (8, 8), (8, 8), rrs_max=4, rrs_mean=4, image_size=size)
    model = RealNet(config).eval()
    save_checkpoint(
        root / "checkpoint", Checkpoint(model, config, CATEGORY, splits={}, data={}, foreground={})
    )
    checkpoint = load_checkpoint(root / "checkpoint")
    onnx = root / "onnx" / "model.onnx"
    onnx_from_checkpoint(checkpoint, onnx, load_batch(sorted(frames.glob("*.png")), (size, size)))
    manifest = Manifest(
        category=CATEGORY,
        input=InputSpec(size, size),
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
    return write_bundle(root / BUNDLE, {onnx.name: onnx}, manifest)


def _same_maps_there_and_here(clean: Program, bundle: Path, frames: Path, maps: Path) -> None:
    done = clean("python", "-c", INFER, bundle, frames, maps, *BASE_LACKS)
    assert json.loads(done.stdout) == BASE_LACKS
    with open_runner(load_bundle(bundle), threads=1) as runner:
        images = load_batch(sorted(frames.glob("*.png")), runner.input_size)
        here = runner.infer(images).anomaly_map
    assert here.std() > 0
    np.testing.assert_allclose(np.load(maps), here, atol=1e-6)


def test_bundle_runs_without_torch(clean: Program, workspace: Path, frames: Path, tmp_path: Path) -> None:
    _same_maps_there_and_here(clean, workspace / BUNDLE, frames, tmp_path / "maps.npy")


@pytest.mark.slow
def test_exported_realnet_runs_without_torch(clean: Program, frames: Path, tmp_path: Path) -> None:
    bundle = _export_realnet(tmp_path, frames)
    _same_maps_there_and_here(clean, bundle.path, frames, tmp_path / "maps.npy")


def test_commands_run_without_torch(clean: Program, workspace: Path, frames: Path) -> None:
    options = ["--workspace", workspace, "--category", CATEGORY]
    lines = clean("realnet-edge", "run", *options, "--source", frames).stdout.splitlines()
    assert len([json.loads(line) for line in lines]) == 3
    clean("realnet-edge", "verify", *options)
    environment = json.loads(clean("realnet-edge", "env", "--workspace", workspace, "--json").stdout)
    train = next(extra for extra in environment["extras"] if extra["name"] == "train")
    assert train["hint"] == "pip install 'realnet-edge[train]'"
    assert environment["workspace"]["categories"][0]["bundles"] == [BUNDLE.name]


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["export"], id="export"),
        pytest.param(["build", "--precision", "fp32"], id="build"),
        pytest.param(["train", "--data", "."], id="train"),
    ],
)
def test_command_that_needs_an_extra_names_it(clean: Program, workspace: Path, arguments: list[str]) -> None:
    done = clean("realnet-edge", *arguments, "--workspace", workspace, "--category", CATEGORY, code=1)
    assert "realnet-edge[train]" in done.stderr
    assert "Traceback" not in done.stderr
