"""Reading and writing bundles: nothing reaches a runtime before its hash was checked."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from realnet_edge.bundle.keys import PrivateKey, read_public_keys
from realnet_edge.bundle.manifest import MANIFEST_NAME, Manifest, check_file_name
from realnet_edge.bundle.plain_files import NotPlainError, read_plain, sha256_plain
from realnet_edge.bundle.private import private_folder
from realnet_edge.bundle.signature import SIGNATURE_NAME, add_signature, verify_signature
from realnet_edge.bundle.strict_json import parse_json
from realnet_edge.errors import BundleError
from realnet_edge.files import atomic_folder, sha256_file, write_json

# Ours have some thousand bytes.
_LARGEST_MANIFEST = 4 << 20


@dataclass(frozen=True)
class Bundle:
    """A bundle whose every file was found to be what its manifest says.

    Attributes:
        path: its folder.
        manifest: what it says of itself.
        manifest_sha256: by which it is told from every other one.
        signed_by: id of the key by whose signature it was accepted; None where no signature was required.
        verified: the folder in which its files lie as they were verified: its own, or where a signature was
            required a copy that nobody else can change.
    """

    path: Path
    manifest: Manifest
    manifest_sha256: str
    signed_by: str | None = None
    verified: Path | None = field(default=None, compare=False, repr=False)

    @property
    def id(self) -> str:
        """Category, backend, precision and the manifest's hash, cut: `screw/openvino-int8@1f3a...`."""
        stated = self.manifest
        return f"{stated.category}/{stated.backend}-{stated.precision}@{self.manifest_sha256[:12]}"

    @property
    def engine_path(self) -> Path:
        """The file that the runtime opens."""
        return self.file(self.manifest.engine)

    def file(self, name: str) -> Path:
        """The file of this name, as it was verified."""
        return (self.verified or self.path) / name


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


class StatedManifest(NamedTuple):
    """A manifest as it was read: nothing is known of the other files yet.

    Attributes:
        manifest: what it says.
        sha256: of its file.
        signed_by: id of the key that it is signed by; None where no signature was required.
    """

    manifest: Manifest
    sha256: str
    signed_by: str | None


def read_manifest(path: Path, require_signature: Sequence[Path] | None = None) -> StatedManifest:
    """The manifest in the folder `path`; the other files are not looked at.

    Args:
        path: the bundle's folder.
        require_signature: PEM files of public keys, one of which has to have signed it; it is not even
            parsed otherwise. None requires no signature.

    Raises:
        BundleError: no such folder, no manifest in it, one that is not signed as required, or one that cannot
            be accepted.
        ConfigError: a file that holds no public key, or not one file.
    """
    content = _manifest_content(path)
    signed_by = None
    if require_signature is not None:
        signed_by = verify_signature(path, content, read_public_keys(require_signature))
    try:
        manifest = Manifest.from_dict(parse_json(content))
    except BundleError as error:
        raise BundleError(f"{path / MANIFEST_NAME}: {error}") from error
    return StatedManifest(manifest, hashlib.sha256(content).hexdigest(), signed_by)


def check_files(path: Path, manifest: Manifest, copy_to: Path | None = None) -> list[FileCheck]:
    """Compare every entry of the folder with the manifest; the listed files first, then what is extra.

    Args:
        path: the bundle's folder.
        manifest: what it says of itself.
        copy_to: a folder that gets each file as it was read here; one that is not "ok" is left out.
    """
    checks = [_check_file(path / name, expected, copy_to) for name, expected in manifest.files.items()]
    known = {*manifest.files, MANIFEST_NAME, SIGNATURE_NAME}
    extra = sorted(entry.name for entry in path.iterdir() if entry.name not in known)
    return checks + [FileCheck(name, "extra", None, None) for name in extra]


def load_bundle(path: Path, require_signature: Sequence[Path] | None = None) -> Bundle:
    """Open a bundle after verifying the SHA-256 of every file in it.

    Where a signature is required it is verified first, and what is verified is what is opened: each file is
    copied, in the pass that hashes it, into a folder of this process alone, which goes with the process.
    Without, runtimes open the files where they lie: hashes find what is damaged, not who would change a file
    between its verification and its opening.

    Args:
        path: the bundle's folder.
        require_signature: PEM files of public keys, one of which has to have signed the bundle; None requires
            no signature.

    Raises:
        BundleError: not a bundle, not signed as required, a manifest that cannot be accepted, or any file
            that is changed, missing, not a plain file, or not in the manifest; the message lists every one.
        ConfigError: a file that holds no public key, or not one file.
    """
    manifest, digest, signed_by = read_manifest(path, require_signature)
    verified = None if signed_by is None else private_folder(digest)
    bad = [check for check in check_files(path, manifest, verified) if not check.good]
    if bad:
        found = "; ".join(f"{check.name} is {check.status}" for check in bad)
        raise BundleError(
            f"{path}: not what its manifest says ({found}). It was not loaded. Copy it again, or build it "
            "again with `realnet-edge build`; `realnet-edge verify` shows the hashes."
        )
    return Bundle(path, manifest, digest, signed_by, verified)


def sign_bundle(path: Path, key: PrivateKey) -> Bundle:
    """Sign a bundle, after verifying every hash in it; signatures of other keys stay.

    Raises:
        BundleError: it cannot be loaded, was changed in the meantime, or its folder cannot be written to.
    """
    bundle = load_bundle(path)
    content = _manifest_content(path)
    if hashlib.sha256(content).hexdigest() != bundle.manifest_sha256:
        raise BundleError(f"{path}: its manifest was replaced while it was verified. Sign it again.")
    add_signature(path, content, key)
    return bundle


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


def _manifest_content(path: Path) -> bytes:
    if not path.is_dir():
        raise BundleError(f"{path}: no such bundle folder. Make one with `realnet-edge build`.")
    file = path / MANIFEST_NAME
    if file.is_symlink() or not file.is_file():
        raise BundleError(
            f"{path}: holds no {MANIFEST_NAME}, so it is no bundle. Give the bundle's own folder."
        )
    try:
        return read_plain(file, _LARGEST_MANIFEST)
    except OSError as error:
        raise BundleError(f"{file}: cannot be read ({error}).") from error


def _check_file(file: Path, expected: str, copy_to: Path | None) -> FileCheck:
    try:
        found = sha256_plain(file) if copy_to is None else _copied(file, expected, copy_to / file.name)
    except FileNotFoundError:
        return FileCheck(file.name, "missing", expected, None)
    except NotPlainError:
        return FileCheck(file.name, "not a file", expected, None)
    except OSError as error:
        raise BundleError(f"{file}: cannot be read, or not copied ({error}).") from error
    return FileCheck(file.name, "ok" if found == expected else "changed", expected, found)


def _copied(file: Path, expected: str, target: Path) -> str:
    """The file's SHA-256; what was read goes to `target` if it is the one expected."""
    if target.exists():
        # Verified before by this process, and in use perhaps.
        return sha256_plain(file)
    partial = target.with_name(f".{target.name}.partial")
    with partial.open("wb") as copy:
        found = sha256_plain(file, copy)
    if found == expected:
        partial.rename(target)
    else:
        partial.unlink()
    return found
