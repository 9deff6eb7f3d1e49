"""`realnet-edge env` on this machine, for people and as JSON."""

from __future__ import annotations

import json
import platform
from pathlib import Path

import onnxruntime
import pytest
from click.testing import CliRunner

from realnet_edge import __version__
from realnet_edge.bundle import BACKENDS
from realnet_edge.cli import env
from realnet_edge.cli.main import cli


def _document(*arguments: str) -> dict[str, dict[str, object]]:
    result = CliRunner().invoke(cli, ["env", "--json", *arguments])
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    document: dict[str, dict[str, object]] = json.loads(result.stdout)
    return document


def test_json_is_one_complete_document() -> None:
    document = _document()
    assert document["package"] == {"version": __version__, "python": platform.python_version()}
    assert set(document) == {"package", "machine", "backends", "extras", "systemd", "data", "workspace"}


def test_backends_say_what_they_can_do_or_what_is_missing() -> None:
    backends = {backend["name"]: backend for backend in _document()["backends"]}
    assert list(backends) == list(BACKENDS)
    for backend in backends.values():
        if backend["available"]:
            assert backend["version"]
            assert backend["precisions"]
            assert backend["devices"]
            assert backend["missing"] is None
        else:
            assert backend["missing"]
    assert backends["onnxruntime"]["version"] == onnxruntime.__version__


def test_missing_package_gives_the_command_that_adds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(env.LIBRARIES, "train", ("numpy", "no-such-package-at-all"))
    train = next(extra for extra in _document()["extras"] if extra["name"] == "train")
    assert not train["complete"]
    assert train["versions"]["no-such-package-at-all"] is None
    assert train["versions"]["numpy"]
    assert train["hint"] == "pip install 'realnet-edge[train]'"
    shown = CliRunner().invoke(cli, ["env"]).stderr
    assert "no-such-package-at-all missing" in shown
    assert "pip install 'realnet-edge[train]'" in shown


def test_workspace_lists_categories_and_their_bundles(tmp_path: Path) -> None:
    (tmp_path / "screw" / "checkpoint").mkdir(parents=True)
    bundle = tmp_path / "screw" / "bundles" / "openvino-int8"
    bundle.mkdir(parents=True)
    (bundle / "manifest.json").write_text("{}")
    (tmp_path / "nut").mkdir()
    workspace = _document("--workspace", str(tmp_path))["workspace"]
    assert workspace == {
        "path": str(tmp_path),
        "exists": True,
        "categories": [
            {"name": "nut", "checkpoint": False, "bundles": []},
            {"name": "screw", "checkpoint": True, "bundles": ["openvino-int8"]},
        ],
    }


def test_workspace_that_is_not_there_yet(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["env", "--workspace", str(tmp_path / "later")])
    assert result.exit_code == 0
    assert "not made yet" in result.stderr


@pytest.mark.parametrize("exists", [True, False])
def test_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exists: bool) -> None:
    folder = tmp_path if exists else tmp_path / "gone"
    monkeypatch.setenv("REALNET_EDGE_DATA", str(folder))
    assert _document()["data"] == {"variable": "REALNET_EDGE_DATA", "path": str(folder), "exists": exists}
    assert ("no such folder" in CliRunner().invoke(cli, ["env"]).stderr) is not exists


def test_systemd_is_found_where_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert _document()["systemd"] is None
    (tmp_path / "systemctl").write_text("#!/bin/sh\necho 'systemd 252 (252.39-1)'\n")
    (tmp_path / "systemctl").chmod(0o755)
    assert _document()["systemd"] == "252"


def test_text_names_machine_backends_and_packages() -> None:
    result = CliRunner().invoke(cli, ["env"])
    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    for word in (__version__, "usable cores", "int8 instructions", "GPU", *BACKENDS, "Workspace"):
        assert word in result.stderr
