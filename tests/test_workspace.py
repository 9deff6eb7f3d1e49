from __future__ import annotations

from pathlib import Path

import pytest

from realnet_edge.errors import ConfigError
from realnet_edge.workspace import Workspace


def test_where_things_lie() -> None:
    paths = Workspace(Path("w")).category("screw")
    assert paths.root == Path("w/screw")
    assert paths.checkpoint == Path("w/screw/checkpoint")
    assert paths.training == Path("w/screw/training")
    assert paths.onnx == Path("w/screw/onnx")
    assert paths.bench == Path("w/screw/bench")
    assert paths.bundle("openvino", "int8") == Path("w/screw/bundles/openvino-int8")


@pytest.mark.parametrize("name", ["screw", "elpv-mono", "part_7", "M4x20.v2", "7"])
def test_plain_names(name: str) -> None:
    assert Workspace(Path("w")).category(name).root.name == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", ".hidden", "-x", "a/b", "../screw", "/etc", "a b", "screw\n", "a\\b"]
)
def test_names_that_are_no_plain_folder(name: str) -> None:
    with pytest.raises(ConfigError, match="is not a plain name: use letters, digits") as caught:
        Workspace(Path("w")).category(name)
    assert repr(name) in str(caught.value)
    assert caught.value.exit_code == 2


def test_categories_are_the_folders_there(tmp_path: Path) -> None:
    for name in ("screw", "bolt", ".cache"):
        (tmp_path / "workspace" / name).mkdir(parents=True)
    (tmp_path / "workspace" / "notes").touch()
    assert Workspace(tmp_path / "workspace").categories() == ["bolt", "screw"]
    assert Workspace(tmp_path / "gone").categories() == []
