"""`realnet-edge bench` as a user calls it."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from realnet_edge.bench.testset import load_test_set
from realnet_edge.bundle import Bundle, sign_bundle
from realnet_edge.bundle.keys import read_private_key, write_new_key
from realnet_edge.cli.main import cli
from realnet_edge.workspace import Workspace

BuildBundle = Callable[..., Bundle]


def bench(workspace: Workspace, *arguments: str) -> Result:
    options = ["--category", "part", "--workspace", str(workspace.root), "--runs", "2", "--threads", "1"]
    return CliRunner().invoke(cli, ["bench", *options, *arguments])


def test_one_json_document_and_the_files_hold_the_same_rows(
    tmp_path: Path, workspace: Workspace, data_root: Path, build_bundle: BuildBundle
) -> None:
    build_bundle("fp32")
    extra = ["--csv", str(tmp_path / "rows.csv"), "--html", str(tmp_path / "report.html")]
    result = bench(workspace, "--data", str(data_root), "--batch", "1", "--batch", "2", "--json", *extra)
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert [row["batch"] for row in document["rows"]] == [1, 2]
    folder = workspace.category("part").bench / "latest"
    assert document["folder"] == str(folder)
    assert json.loads((folder / "rows.json").read_text())["rows"] == document["rows"]
    with (tmp_path / "rows.csv").open(newline="") as stream:
        assert [row["batch"] for row in csv.DictReader(stream)] == ["1", "2"]
    assert "FP32 PyTorch did not run" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "FP32 PyTorch did not run" in result.stderr
    assert str(folder / "report.html") in result.stderr


def test_only_what_is_signed_is_measured_where_that_is_required(
    tmp_path: Path, workspace: Workspace, data_root: Path, build_bundle: BuildBundle
) -> None:
    _, public = write_new_key(tmp_path / "k")
    bundle = build_bundle("fp32")
    options = ["--data", str(data_root), "--require-signature", str(public)]
    refused = bench(workspace, *options)
    assert refused.exit_code == 1
    assert "is not signed" in refused.stderr
    sign_bundle(bundle.path, read_private_key(tmp_path / "k"))
    assert bench(workspace, *options).exit_code == 0


def test_a_missed_budget_exits_with_3_after_everything_is_written(
    workspace: Workspace, data_root: Path, build_bundle: BuildBundle
) -> None:
    reference = {"image_auroc": 100.0, "pixel_auroc": 100.0, "au_pro": 100.0}
    images = load_test_set(data_root, "part").digest()
    build_bundle("fp32", accuracy={"reference": reference, "images_sha256": images})
    result = bench(workspace, "--data", str(data_root), "--budget", "1", "--json")
    assert result.exit_code == 3
    assert "onnxruntime-fp32 (batch 1) kept less than 100%" in result.stderr
    assert json.loads(result.stdout)["budget_met"] is False
    assert (workspace.category("part").bench / "latest" / "report.html").is_file()


def test_what_was_measured_is_printed_even_where_it_cannot_be_recorded(
    workspace: Workspace, data_root: Path, build_bundle: BuildBundle
) -> None:
    build_bundle("fp32")
    result = bench(workspace, "--data", str(data_root), "--record", "--json")
    assert result.exit_code == 2
    assert len(json.loads(result.stdout)["rows"]) == 1
    assert "FP32 PyTorch did not run" in result.stderr
    assert "accuracy is recorded beside FP32 PyTorch's" in result.stderr


def test_a_part_of_the_images_is_not_recorded(
    workspace: Workspace, data_root: Path, build_bundle: BuildBundle
) -> None:
    build_bundle("fp32")
    result = bench(workspace, "--data", str(data_root), "--record", "--images", "8")
    assert result.exit_code == 2
    assert "--record and --images 8 cannot go together" in result.stderr
    assert not workspace.category("part").bench.exists()


def test_without_anything_to_measure_the_message_says_what_to_run(
    workspace: Workspace, data_root: Path
) -> None:
    result = bench(workspace, "--data", str(data_root))
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "Build one with: realnet-edge build --category part" in result.stderr


@pytest.mark.parametrize(
    "wrong", [["--budget", "0"], ["--budget", "1.5"], ["--batch", "0"], ["--images", "1"], ["--runs", "0"]]
)
def test_values_outside_their_range_are_usage_errors(workspace: Workspace, wrong: list[str]) -> None:
    assert bench(workspace, *wrong).exit_code == 2
