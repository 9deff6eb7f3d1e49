"""Who made a bundle: Ed25519 signatures of its manifest, which lists the hash of every other file.

A bundle's signatures lie beside its manifest in `manifest.sig`, a line each, so that two keys can vouch for
it while one replaces the other:

    realnet-edge-signature-1 ed25519 KEY_ID BASE64

KEY_ID is that of `PublicKey`, BASE64 the 64 bytes of the signature (RFC 8032) of `signed_message`.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from realnet_edge.bundle.keys import PrivateKey, PublicKey
from realnet_edge.bundle.plain_files import read_plain
from realnet_edge.errors import BundleError
from realnet_edge.files import atomic_path

SIGNATURE_NAME = "manifest.sig"
# Stands before what is signed: a signature of something else with the same key is none of a bundle.
_DOMAIN = b"realnet-edge-signature-1 bundle manifest\n"
_LINE = re.compile(r"realnet-edge-signature-1 ed25519 ([0-9a-f]{16}) ([A-Za-z0-9+/]{86}==)")
_MOST = 1 << 16


@dataclass(frozen=True)
class Signature:
    """One signature: the id of the key it is said to be of, and its 64 bytes."""

    key_id: str
    value: bytes


def signed_message(manifest: bytes) -> bytes:
    """What is signed: one line that says what follows, then the manifest's file, byte by byte."""
    return _DOMAIN + manifest


def read_signatures(folder: Path) -> list[Signature]:
    """The signatures that lie in a bundle's folder, none of them verified; empty where there is no file.

    Raises:
        BundleError: a file that is not as described above.
    """
    file = folder / SIGNATURE_NAME
    try:
        text = read_plain(file, _MOST).decode("ascii")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise BundleError(f"{file}: cannot be read ({error}). Sign the bundle again.") from error
    except UnicodeDecodeError as error:
        raise BundleError(f"{file}: holds no signatures ({error}). Sign the bundle again.") from error
    return [_parsed(file, line) for line in text.splitlines()]


def verify_signature(folder: Path, manifest: bytes, keys: Sequence[PublicKey]) -> str:
    """The id of the key, one of `keys`, by which a manifest is signed.

    Args:
        folder: the bundle's.
        manifest: its manifest's bytes, which nobody has parsed yet.
        keys: whose signatures count; one that fits is enough.

    Raises:
        BundleError: not signed, or by none of these keys; or a signature that does not fit the manifest.
    """
    from cryptography.exceptions import InvalidSignature

    found = read_signatures(folder)
    message = signed_message(manifest)
    for signature in found:
        for key in keys:
            if key.id == signature.key_id:
                try:
                    key.key.verify(signature.value, message)
                except InvalidSignature:
                    continue
                return key.id
    raise BundleError(_refusal(folder, {one.key_id for one in found}, {key.id for key in keys}))


def add_signature(folder: Path, manifest: bytes, key: PrivateKey) -> None:
    """Sign a manifest; signatures of other keys that are there stay.

    Raises:
        BundleError: the file of signatures cannot be read or written.
    """
    others = [one for one in read_signatures(folder) if one.key_id != key.id]
    mine = Signature(key.id, key.key.sign(signed_message(manifest)))
    file = folder / SIGNATURE_NAME
    try:
        with atomic_path(file) as temporary:
            temporary.write_text("".join(_line(one) for one in [*others, mine]), encoding="ascii")
    except OSError as error:
        raise BundleError(f"{file}: cannot be written ({error.strerror}).") from error


def _line(signature: Signature) -> str:
    return (
        f"realnet-edge-signature-1 ed25519 {signature.key_id} {base64.b64encode(signature.value).decode()}\n"
    )


def _parsed(file: Path, line: str) -> Signature:
    match = _LINE.fullmatch(line)
    try:
        if match is not None:
            return Signature(match[1], base64.b64decode(match[2], validate=True))
    except binascii.Error:
        pass
    raise BundleError(
        f"{file}: {line[:60]!r} is no signature, expected `realnet-edge-signature-1 ed25519 KEY_ID BASE64`. "
        "Sign the bundle again."
    )


def _refusal(folder: Path, signed: set[str], trusted: set[str]) -> str:
    wanted = f"a signature by {' or '.join(sorted(trusted))} is required"
    if not signed:
        return f"{folder}: is not signed, and {wanted}. Sign it where the private key is: realnet-edge sign."
    if not signed & trusted:
        return (
            f"{folder}: is signed by {', '.join(sorted(signed))}, and {wanted}. Give that key's public file, "
            "or have the bundle signed by a key that is trusted here."
        )
    by = ", ".join(sorted(signed & trusted))
    return (
        f"{folder}: the signature by {by} does not fit its manifest: that was changed since, or the "
        "signature is of another bundle. It was not loaded. Copy it again from where it was signed."
    )
