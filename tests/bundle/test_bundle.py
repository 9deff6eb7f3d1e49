from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from realnet_edge.bundle import Bundle, load_bundle, read_manifest, write_bundle
from realnet_edge.errors import BundleError

Break = Callable[[Path], object]


@pytest.fixture
def bundle(toy_bundle: Callable[..., Bundle], tmp_path: Path) -> Bundle:
    return toy_bundle(tmp_path / "bundles" / "openvino-fp32", "openvino")


def _edit(path: Path, **changes: object) -> None:
    file = path / "manifest.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def _flip_one_bit(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def _replace_by_link(path: Path) -> None:
    outside = path.parent / "outside.bin"
    (path / "model.bin").rename(outside)
    (path / "model.bin").symlink_to(outside)


def test_what_was_written_loads_again(bundle: Bundle) -> None:
    loaded = load_bundle(bundle.path)

    assert loaded == bundle
    assert loaded.engine_path.name == "model.xml"
    assert set(loaded.manifest.files) == {"model.xml", "model.bin"}
    assert loaded.id == f"toy/openvino-fp32@{loaded.manifest_sha256[:12]}"


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda path: _flip_one_bit(path / "model.bin"), "model.bin is changed"),
        (lambda path: (path / "model.bin").write_bytes(b""), "model.bin is changed"),
        (lambda path: (path / "model.bin").unlink(), "model.bin is missing"),
        (lambda path: (path / "plugin.so").write_bytes(b"x"), "plugin.so is extra"),
        (lambda path: (path / ".hidden").mkdir(), ".hidden is extra"),
        (_replace_by_link, "model.bin is not a file"),
        (lambda path: (path / "manifest.json").unlink(), "holds no manifest.json"),
        (lambda path: (path / "manifest.json").write_text("{"), "not JSON"),
        (lambda path: (path / "manifest.json").write_bytes(b"\xff\xfe"), "not JSON"),
        (lambda path: _edit(path, schema_version=9), "schema_version is 9"),
        (lambda path: _edit(path, engine="../../x"), "not among its files"),
    ],
)
def test_a_bundle_that_is_not_as_stated_is_not_loaded(bundle: Bundle, damage: Break, says: str) -> None:
    damage(bundle.path)

    with pytest.raises(BundleError) as error:
        load_bundle(bundle.path)

    assert says in str(error.value)
    assert str(bundle.path) in str(error.value)


def test_every_bad_file_is_listed_at_once(bundle: Bundle) -> None:
    _flip_one_bit(bundle.path / "model.xml")
    (bundle.path / "model.bin").unlink()

    with pytest.raises(BundleError, match=r"model\.xml is changed; model\.bin is missing"):
        load_bundle(bundle.path)


def test_a_missing_folder_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"no such bundle folder.*realnet-edge build"):
        load_bundle(tmp_path / "nowhere")


def test_a_manifest_that_is_a_link_is_refused(bundle: Bundle) -> None:
    outside = bundle.path.parent / "manifest.json"
    (bundle.path / "manifest.json").rename(outside)
    (bundle.path / "manifest.json").symlink_to(outside)

    with pytest.raises(BundleError, match=r"holds no manifest\.json"):
        read_manifest(bundle.path)


@pytest.mark.parametrize("name", ["../model.onnx", "a/b.onnx", "", ".model", "manifest.json", "mo del"])
def test_writing_refuses_names_that_leave_the_folder(bundle: Bundle, tmp_path: Path, name: str) -> None:
    with pytest.raises(BundleError, match="plain names"):
        write_bundle(tmp_path / "new", {name: bundle.engine_path}, bundle.manifest)

    assert not (tmp_path / "new").exists()


def test_a_failed_write_leaves_the_old_bundle(bundle: Bundle) -> None:
    before = {file.name: file.read_bytes() for file in bundle.path.iterdir()}

    with pytest.raises(BundleError, match="not among its files"):
        write_bundle(bundle.path, {"other.bin": bundle.path / "model.bin"}, bundle.manifest)

    assert {file.name: file.read_bytes() for file in bundle.path.iterdir()} == before
    assert [entry.name for entry in bundle.path.parent.iterdir()] == [bundle.path.name]
    assert load_bundle(bundle.path) == bundle


def test_writing_over_a_bundle_leaves_none_of_its_files(
    bundle: Bundle, toy_bundle: Callable[..., Bundle]
) -> None:
    toy_bundle(bundle.path)

    assert sorted(file.name for file in bundle.path.iterdir()) == ["manifest.json", "model.onnx"]


def test_a_source_that_is_missing_is_named(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"gone\.onnx: no such file"):
        write_bundle(tmp_path / "new", {"model.onnx": tmp_path / "gone.onnx"}, bundle.manifest)
