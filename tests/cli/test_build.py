"""`realnet-edge build`: every option reaches the build."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from realnet_edge.calibrate import BuildOptions
from realnet_edge.cli.build import command
from realnet_edge.cli.main import cli
from realnet_edge.runtime.backends import SUPPORTED
from realnet_edge.runtime.tensorrt import EngineOptions


class ReachedError(Exception):
    """Ends the command where building would begin."""


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Calls the command with options and gives what it would have built."""
    seen: dict[str, Any] = {}

    def spy(workspace: Any, category: str, precision: str, backend: str, **rest: Any) -> None:
        seen.update(workspace=workspace.root, category=category, precision=precision, backend=backend, **rest)
        raise ReachedError

    monkeypatch.setattr("realnet_edge.calibrate.build_bundle", spy)
    workspace = tmp_path / "ws"
    # Whether there is a checkpoint is asked before anything that takes long is imported.
    (workspace / "part/checkpoint").mkdir(parents=True)
    (workspace / "part/checkpoint/checkpoint.json").touch()

    def call(*options: str) -> dict[str, Any]:
        seen.clear()
        plain = ["--category", "part", "--precision", "fp32", "--workspace", str(workspace)]
        result = CliRunner().invoke(command, [*plain, *options])
        assert isinstance(result.exception, ReachedError), result.output
        return {k: v for k, v in seen.items() if k not in ("progress", "tell")}

    call.folder = tmp_path  # type: ignore[attr-defined]  # where an option may point to
    return call


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (("--fpr", "0.05"), BuildOptions(target_fpr=0.05)),
        (("--max-batch", "4"), BuildOptions(max_batch=4)),
        (("--calibration-method", "entropy"), BuildOptions(method="entropy")),
        (("--exclude", "backbone", "--exclude", "afs"), BuildOptions(exclude=("backbone", "afs"))),
        (("--weight-bits", "7"), BuildOptions(weight_bits=7)),
        (("--tolerance", "0.002"), BuildOptions(tolerance=0.002)),
        (("--timing-cache", "caches"), BuildOptions(timing_cache=Path("caches"))),
        (("--rrs", "plugin"), BuildOptions(rrs="plugin")),
        (("--kernels", "compiled"), BuildOptions(kernels=Path("compiled"))),
        (("--batch", "2:4:8"), BuildOptions(engine=EngineOptions(batch=(2, 4, 8)))),
        (("--workspace-limit", "512"), BuildOptions(engine=EngineOptions(workspace_mb=512))),
        (("--builder-level", "5"), BuildOptions(engine=EngineOptions(builder_level=5))),
        (("--tf32",), BuildOptions(engine=EngineOptions(tf32=True))),
        (("--hardware-compatible",), BuildOptions(engine=EngineOptions(hardware_compatible=True))),
        (("--version-compatible",), BuildOptions(engine=EngineOptions(version_compatible=True))),
        (
            ("--max-batch", "4", "--tf32"),
            BuildOptions(max_batch=4, engine=EngineOptions(batch=(1, 1, 4), tf32=True)),
        ),
    ],
)
def test_an_option_changes_its_setting_and_no_other(
    started: Any, given: tuple[str, ...], expected: BuildOptions
) -> None:
    plain, changed = started(), started(*given)
    assert plain["options"] == BuildOptions()
    assert changed == {**plain, "options": expected}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (("--batch", "4:2:8"), "smallest, optimal and largest in this order"),
        (("--batch", "1:8"), "give three numbers, such as 1:1:8"),
        (("--batch", "1:1:8", "--max-batch", "8"), "leave --max-batch out"),
        (("--workspace-limit", "0"), "at least 1 MiB"),
        (("--builder-level", "6"), "give 0 to 5"),
        (("--dla",), "DLA cannot run this network: it has no GroupNorm, TopK"),
    ],
)
def test_what_tensorrts_builder_cannot_take_is_refused_with_the_reason(
    given: tuple[str, ...], says: str
) -> None:
    result = CliRunner().invoke(cli, ["build", "--category", "part", "--precision", "fp32", *given])
    assert result.exit_code == 2
    assert says in " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (("--tf32",), "settings of TensorRT's builder mean nothing to onnxruntime"),
        (("--kernels", "compiled"), "settings of TensorRT's builder mean nothing to onnxruntime"),
        (("--rrs", "plugin"), "onnxruntime cannot compute RRS as a plugin: its kernels are CUDA code"),
        (("--rrs", "fused"), "rrs is 'fused': use auto, plugin, native"),
    ],
)
def test_tensorrts_settings_are_refused_for_another_backend(
    given: tuple[str, ...], says: str, tmp_path: Path
) -> None:
    (tmp_path / "part/checkpoint").mkdir(parents=True)
    (tmp_path / "part/checkpoint/checkpoint.json").touch()
    arguments = ["build", "--category", "part", "--precision", "fp32", "--workspace", str(tmp_path)]
    result = CliRunner().invoke(cli, [*arguments, "--backend", "onnxruntime", *given])
    assert result.exit_code == 2
    assert says in " ".join(result.stderr.split())


def test_category_precision_backend_and_folders_reach_the_build(started: Any) -> None:
    data, workspace = started.folder / "data", started.folder / "ws"
    data.mkdir()
    seen = started("--backend", "onnxruntime", "--data", str(data))
    assert (seen["category"], seen["precision"], seen["backend"]) == ("part", "fp32", "onnxruntime")
    assert (seen["data_root"], seen["workspace"]) == (data, workspace)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--precision", "fp8"), "precision 'fp8' is unknown: use fp16, fp32, int8"),
        (("--precision", "fp16", "--backend", "onnxruntime"), "onnxruntime cannot do 'fp16'"),
        (("--precision", "fp32", "--backend", "onnxruntime"), "no checkpoint"),
    ],
)
def test_what_no_backend_can_do_is_said_before_a_checkpoint_is_asked_for(
    tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    arguments = ["build", "--category", "part", "--workspace", str(tmp_path), *options]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code != 0
    assert message in result.stderr


def test_a_prepared_bundle_that_is_not_there_is_to_be_prepared(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["build", "--on-target", str(tmp_path / "gone")])
    assert result.exit_code == 1
    assert "gone: no such prepared bundle. Make one with `realnet-edge build --prepare`" in result.stderr


def test_the_help_names_every_backend() -> None:
    text = " ".join(CliRunner().invoke(cli, ["build", "--help"]).stdout.split()).replace("- ", "-")
    assert all(backend in text for backend in SUPPORTED)


def test_a_data_folder_that_is_not_there_is_told_with_what_is_meant(tmp_path: Path) -> None:
    arguments = ["data", "check", "--data", str(tmp_path / "gone")]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 2
    assert "parts, where images are in parts/NAME/good" in " ".join(result.stderr.split())
