from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from realnet_edge.bundle import Bundle
from realnet_edge.cli.main import cli


@pytest.fixture
def place(toy_bundle: Callable[..., Bundle], tmp_path: Path) -> Path:
    """A workspace with two bundles of the category toy."""
    for precision in ("fp32", "int8"):
        toy_bundle(tmp_path / "toy" / "bundles" / f"onnxruntime-{precision}", precision=precision)
    return tmp_path


def _verify(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["verify", *map(str, arguments)])


def test_a_whole_bundle_is_good(place: Path) -> None:
    done = _verify(place / "toy" / "bundles" / "onnxruntime-fp32")

    assert done.exit_code == 0, done.output
    assert done.stdout == ""
    assert "model.onnx" in done.stderr
    assert "Every file is what the manifest says" in done.stderr


def test_json_gives_every_file_of_every_bundle(place: Path) -> None:
    done = _verify("--category", "toy", "--workspace", place, "--json")
    document = json.loads(done.stdout)

    assert done.exit_code == 0
    assert document["ok"] is True
    names = [Path(report["bundle"]).name for report in document["bundles"]]
    assert names == ["onnxruntime-int8", "onnxruntime-fp32"]
    file = document["bundles"][0]["files"][0]
    assert (file["name"], file["status"]) == ("model.onnx", "ok")
    assert file["expected"] == file["found"]


def test_a_changed_and_an_extra_file_exit_with_1(place: Path) -> None:
    folder = place / "toy" / "bundles" / "onnxruntime-int8"
    with (folder / "model.onnx").open("ab") as stream:
        stream.write(b"\0")
    (folder / "more.bin").write_bytes(b"")

    told = _verify(folder)
    done = _verify("--category", "toy", "--workspace", place, "--json")
    bad, good = json.loads(done.stdout)["bundles"]

    assert (told.exit_code, done.exit_code) == (1, 1)
    assert "do not run this bundle" in told.stderr
    assert (bad["ok"], good["ok"]) == (False, True)
    assert {file["name"]: file["status"] for file in bad["files"]} == {
        "model.onnx": "changed",
        "more.bin": "extra",
    }


def test_a_manifest_that_cannot_be_read_is_a_failure_too(place: Path) -> None:
    folder = place / "toy" / "bundles" / "onnxruntime-fp32"
    (folder / "manifest.json").write_text("{}")
    done = _verify(folder, "--json")

    assert done.exit_code == 1
    assert "schema_version" in json.loads(done.stdout)["bundles"][0]["error"]


@pytest.mark.parametrize(
    "arguments", [(), ("here", "--category", "toy"), ("here", "--precision", "int8")], ids=str
)
def test_it_must_be_clear_what_to_verify(arguments: tuple[str, ...]) -> None:
    assert _verify(*arguments).exit_code == 2


def test_a_category_without_bundles_names_the_build_command(tmp_path: Path) -> None:
    done = _verify("--category", "screw", "--workspace", tmp_path)

    assert done.exit_code == 1
    assert "realnet-edge build --category screw" in done.stderr
