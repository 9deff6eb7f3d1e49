"""Reading and writing bundles: nothing reaches a runtime before its hash was checked."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from realnet_edge.bundle.manifest import MANIFEST_NAME, Manifest, check_file_name
from realnet_edge.errors import BundleError
from realnet_edge.files import atomic_folder, sha256_file, write_json


@dataclass(frozen=True)
class Bundle:
    """A bundle whose every file was found to be what its manifest says."""

    path: Path
    manifest: Manifest
    manifest_sha256: str

    @property
    def id(self) -> str:
        """Category, backend, precision and the manifest's hash, cut: `screw/openvino-int8@1f3a...`."""
        stated = self.manifest
        return f"{stated.category}/{stated.backend}-{stated.precision}@{self.manifest_sha256[:12]}"

    @property
    def engine_path(self) -> Path:
        """The file that the runtime opens."""
        return self.path / self.manifest.engine


@dataclass(frozen=True)
class FileCheck:
    """The finding on one entry of a bundle's folder.

    Attributes:
        name: its name in the folder.
        status: "ok", "changed" (another hash), "missing", "extra" (not in the manifest), or "not a file"
            (a link, a folder or a device: only plain files are read).
        expected: SHA-256 of the manifest, None for an extra file.
        found: SHA-256 as read, None where nothing was read.
    """

    name: str
    status: str
    expected: str | None
    found: str | None

    @property
    def good(self) -> bool:
        return self.status == "ok"


def read_manifest(path: Path) -> tuple[Manifest, str]:
    """The manifest in the folder `path` and its SHA-256; the other files are not looked at.

    Raises:
        BundleError: no such folder, no manifest in it, or a manifest that cannot be accepted.
    """
    if not path.is_dir():
        raise BundleError(f"{path}: no such bundle folder. Make one with `realnet-edge build`.")
    file = path / MANIFEST_NAME
    if file.is_symlink() or not file.is_file():
        raise BundleError(
            f"{path}: holds no {MANIFEST_NAME}, so it is no bundle. Give the bundle's own folder."
        )
    try:
        content = file.read_bytes()
        manifest = Manifest.from_dict(json.loads(content))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise BundleError(f"{file}: not JSON ({error}). Build the bundle again.") from error
    except OSError as error:
        raise BundleError(f"{file}: cannot be read ({error}).") from error
    except BundleError as error:
        raise BundleError(f"{file}: {error}") from error
    return manifest, hashlib.sha256(content).hexdigest()


def check_files(path: Path, manifest: Manifest) -> list[FileCheck]:
    """Compare every entry of the folder with the manifest; the listed files first, then what is extra."""
    checks = [_check_file(path / name, expected) for name, expected in manifest.files.items()]
    known = {*manifest.files, MANIFEST_NAME}
    extra = sorted(entry.name for entry in path.iterdir() if entry.name not in known)
    return checks + [FileCheck(name, "extra", None, None) for name in extra]


def load_bundle(path: Path) -> Bundle:
    """Open a bundle after verifying the SHA-256 of every file in it.

    Raises:
        BundleError: not a bundle, a manifest that cannot be accepted, or any file that is changed, missing,
            not a plain file, or not in the manifest; the message lists every one.
    """
    manifest, digest = read_manifest(path)
    bad = [check for check in check_files(path, manifest) if not check.good]
    if bad:
        found = "; ".join(f"{check.name} is {check.status}" for check in bad)
        raise BundleError(
            f"{path}: not what its manifest says ({found}). It was not loaded. Copy it again, or build it "
            "again with `realnet-edge build`; `realnet-edge verify` shows the hashes."
        )
    return Bundle(path, manifest, digest)


def write_bundle(path: Path, files: Mapping[str, Path], manifest: Manifest) -> Bundle:
    """Copy `files` into a bundle at `path` and write the manifest with their hashes, all or nothing.

    A bundle already at `path` is replaced only when the new one is complete.

    Args:
        path: the bundle's folder.
        files: name inside the bundle -> file to copy. An ONNX file's external data keep their name.
        manifest: all but `files`, which is filled in here.

    Raises:
        BundleError: an odd name, a source that is not a file, or a manifest that a reader would refuse.
    """
    for name, source in files.items():
        check_file_name(name)
        if not source.is_file():
            raise BundleError(f"{source}: no such file, wanted as {name} in the bundle {path}.")
    with atomic_folder(path) as folder:
        hashes = {}
        for name, source in files.items():
            shutil.copyfile(source, folder / name)
            hashes[name] = sha256_file(folder / name)
        complete = dataclasses.replace(manifest, files=hashes)
        # What is written must be readable by the same strict rules; better to learn it here.
        Manifest.from_dict(json.loads(json.dumps(complete.to_dict())))
        write_json(folder / MANIFEST_NAME, complete.to_dict())
    return Bundle(path, complete, sha256_file(path / MANIFEST_NAME))


def _check_file(file: Path, expected: str) -> FileCheck:
    try:
        mode = file.lstat().st_mode
    except FileNotFoundError:
        return FileCheck(file.name, "missing", expected, None)
    if not stat.S_ISREG(mode):
        return FileCheck(file.name, "not a file", expected, None)
    found = sha256_file(file)
    return FileCheck(file.name, "ok" if found == expected else "changed", expected, found)
