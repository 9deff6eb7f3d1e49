"""`realnet-edge build`: every option reaches the build."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from realnet_edge.calibrate import BuildOptions
from realnet_edge.cli.build import command


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
        return {k: v for k, v in seen.items() if k != "progress"}

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
    ],
)
def test_an_option_changes_its_setting_and_no_other(
    started: Any, given: tuple[str, ...], expected: BuildOptions
) -> None:
    plain, changed = started(), started(*given)
    assert plain["options"] == BuildOptions()
    assert changed == {**plain, "options": expected}


def test_category_precision_backend_and_folders_reach_the_build(started: Any) -> None:
    data, workspace = started.folder / "data", started.folder / "ws"
    data.mkdir()
    seen = started("--backend", "onnxruntime", "--data", str(data))
    assert (seen["category"], seen["precision"], seen["backend"]) == ("part", "fp32", "onnxruntime")
    assert (seen["data_root"], seen["workspace"]) == (data, workspace)
