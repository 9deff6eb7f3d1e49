"""Bundles that are no good, and what `run` says of each before any byte of them reaches a runtime."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from realnet_edge.bundle import Bundle
from realnet_edge.cli.main import cli

Damage = Callable[[Path], object]


@pytest.fixture(scope="module")
def sound(toy_bundle: Callable[..., Bundle], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_bundle(tmp_path_factory.mktemp("sound") / "bundle").path


def with_value(key: str, value: Any, path: Path) -> None:
    """Set a value of the manifest; the key is given as a path with dots."""
    file = path / "manifest.json"
    document = json.loads(file.read_text())
    *outer, last = key.split(".")
    place = document
    for name in outer:
        place = place[name]
    place[last] = value
    file.write_text(json.dumps(document))


def with_text(old: str, new: str, path: Path) -> None:
    """Replace a piece of the manifest's text, for what `json.dumps` would not write."""
    file = path / "manifest.json"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def with_manifest(content: bytes, path: Path) -> None:
    (path / "manifest.json").write_bytes(content)


def moved_out(name: str, path: Path) -> None:
    """Replace a file by a link to where it was moved."""
    shutil.move(path / name, path.parent / name)
    (path / name).symlink_to(path.parent / name)


def instead(name: str, make: Callable[[Path], object], path: Path) -> None:
    """Put something else where a file was."""
    (path / name).unlink()
    make(path / name)


def value(key: str, new: Any) -> Damage:
    return partial(with_value, key, new)


def text(old: str, new: str) -> Damage:
    return partial(with_text, old, new)


def manifest(content: bytes) -> Damage:
    return partial(with_manifest, content)


CALIBRATION = {"method": "minmax", "images": 3, "list_sha256": "1" * 64, "weight_bits": 10**9}
ROWS: dict[str, tuple[Damage, str]] = {
    "no folder": (shutil.rmtree, "no such bundle folder"),
    "a file for a folder": (
        lambda path: (shutil.rmtree(path), path.write_text("x")),
        "no such bundle folder",
    ),
    # Files.
    "file missing": (lambda path: (path / "model.onnx").unlink(), "model.onnx is missing"),
    "file changed": (lambda path: (path / "model.onnx").write_bytes(b"x"), "model.onnx is changed"),
    "file not listed": (lambda path: (path / "plugin.so").write_bytes(b"x"), "plugin.so is extra"),
    "file behind a link": (partial(moved_out, "model.onnx"), "model.onnx is not a file"),
    "folder for a file": (partial(instead, "model.onnx", Path.mkdir), "model.onnx is not a file"),
    "pipe for a file": (partial(instead, "model.onnx", os.mkfifo), "model.onnx is not a file"),
    # The manifest as a file.
    "no manifest": (lambda path: (path / "manifest.json").unlink(), "holds no manifest.json"),
    "manifest behind a link": (partial(moved_out, "manifest.json"), "holds no manifest.json"),
    "pipe for a manifest": (partial(instead, "manifest.json", os.mkfifo), "holds no manifest.json"),
    "manifest of 1 GB": (
        lambda path: os.truncate(path / "manifest.json", 1 << 30),
        "larger than 4194304 bytes",
    ),
    # The manifest as JSON.
    "empty": (manifest(b""), "not JSON (Expecting value"),
    "cut": (manifest(b'{"schema_version": 1, "cat'), "not JSON (Unterminated string"),
    "UTF-16": (manifest('{"schema_version": 1}'.encode("utf-16")), "not JSON ('utf-8' codec"),
    "a list": (manifest(b"[]"), "manifest is [], expected an object"),
    "null": (manifest(b"null"), "manifest is None, expected an object"),
    "nested deeply": (manifest(b"[" * 200_000), "nested too deeply"),
    "a key twice": (text('"category": "toy"', '"category": "x", "category": "toy"'), "category comes twice"),
    "NaN": (text('"value": 0.5', '"value": NaN'), "NaN is no number of JSON"),
    "a number of 5000 digits": (
        text('"value": 0.5', f'"value": 1{"0" * 5000}'),
        "not JSON (Exceeds the limit",
    ),
    "half a character": (text('"toy"', r'"\ud800"'), "surrogates not allowed"),
    # The manifest's values.
    "schema of tomorrow": (value("schema_version", 99), "schema_version is 99; this version"),
    "schema as text": (value("schema_version", "1"), "schema_version is '1'; this version"),
    "unknown key": (value("colour", "red"), "unknown colour. The keys are"),
    "unknown backend": (value("backend", "coreml"), "backend is 'coreml', expected 'tensorrt'"),
    "unknown resize": (value("input.resize", "nearest"), "input.resize is 'nearest', expected"),
    "negative size": (value("input.height", -1), "input.height is -1, expected an integer of 1 to 32768"),
    "size true": (value("input.height", True), "input.height is True, expected an integer"),
    "size that no memory has": (value("input.width", 10**9), "input.width is 1000000000, expected"),
    "size of another engine": (value("input.height", 64), "model.onnx: takes"),
    "threshold 2": (value("threshold.value", 2), "threshold.value is 2, expected a number in [0, 1]"),
    "threshold as text": (value("threshold.value", "0.5"), "threshold.value is '0.5', expected a number"),
    "threshold infinite": (text('"value": 0.5', '"value": 1e999'), "threshold.value is inf, expected"),
    "threshold of 400 digits": (value("threshold.value", 10**400), "expected a number in [0, 1]"),
    "no threshold": (value("threshold", None), "has no threshold, so nothing can be decided"),
    "batch backwards": (value("batch", [4, 1]), "batch is [4, 1], expected the smallest batch first"),
    "batch of none": (value("batch", [0, 1]), "batch is [0, 1], expected a list of 2 integers"),
    "weights of a billion bits": (value("calibration", CALIBRATION), "weight_bits is 1000000000, expected"),
    "category that is a path": (value("category", "../../x"), "category is '../../x', expected a plain name"),
    "category of two lines": (value("category", "a\nb"), r"category is 'a\nb', expected a plain name"),
    "no time": (value("created", "yesterday"), "created is 'yesterday', expected a UTC time"),
    "file outside": (value("files", {"../x": "0" * 64}), "names '../x': a bundle's files are plain names"),
    "absolute file": (value("files", {"/etc/passwd": "0" * 64}), "names '/etc/passwd': a bundle's files"),
    "its own manifest": (value("files", {"manifest.json": "0" * 64}), "names 'manifest.json'"),
    "its own signature": (value("files", {"manifest.sig": "0" * 64}), "names 'manifest.sig'"),
    "no hash": (value("files", {"model.onnx": "A" * 64}), "expected a SHA-256 in hexadecimal"),
    "engine outside": (value("engine", "../x"), "engine is '../x', which is not among its files"),
}


@pytest.mark.parametrize(("damage", "says"), ROWS.values(), ids=ROWS)
def test_a_bundle_that_is_no_good_is_refused(
    damage: Damage, says: str, sound: Path, parts: Path, tmp_path: Path
) -> None:
    path = tmp_path / "bundle"
    shutil.copytree(sound, path)
    damage(path)

    done = CliRunner().invoke(cli, ["run", "--bundle", str(path), "--source", str(parts), "--threads", "1"])

    assert (done.exit_code, done.stdout) == (1, ""), done.output
    assert says in done.stderr
    assert str(path) in done.stderr
