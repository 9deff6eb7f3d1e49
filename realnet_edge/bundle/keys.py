"""Ed25519 keys in PEM files, as OpenSSL reads and writes them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from realnet_edge.errors import ConfigError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

# A private key that is encrypted needs it; secrets do not belong on a command line.
PASSPHRASE_VARIABLE = "REALNET_EDGE_KEY_PASSPHRASE"  # noqa: S105  # the variable's name
_MOST = 1 << 14
_MAKE_ONE = "`realnet-edge keygen FILE` makes a pair"


@dataclass(frozen=True)
class PublicKey:
    """A key that says whose signatures count.

    Attributes:
        id: the first 16 hexadecimal digits of the SHA-256 over the key in DER, to tell keys apart.
        key: the key itself.
    """

    id: str
    key: Ed25519PublicKey


@dataclass(frozen=True)
class PrivateKey:
    """A key that signs; `id` is that of its public half."""

    id: str
    key: Ed25519PrivateKey


def read_public_keys(paths: Sequence[Path]) -> list[PublicKey]:
    """The keys in PEM files, one a file.

    Raises:
        ConfigError: no file at all, or one that holds no Ed25519 public key.
    """
    if not paths:
        raise ConfigError(f"a signature by no key is none: give a public key's file; {_MAKE_ONE}.")
    return [_read_public_key(path) for path in paths]


def read_private_key(path: Path) -> PrivateKey:
    """The key in a PEM file; one that is encrypted is opened with the passphrase of the environment.

    Raises:
        ConfigError: no such file, no Ed25519 private key, or no passphrase that opens it.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    content = _read(path, "PRIVATE KEY")
    encrypted = b"ENCRYPTED" in content
    given = _passphrase() if encrypted else None
    if encrypted and given is None:
        raise ConfigError(f"{path}: is encrypted; put its passphrase into {PASSPHRASE_VARIABLE}.")
    what = f"an Ed25519 private key that {PASSPHRASE_VARIABLE} opens" if given else "an Ed25519 private key"
    key = _parsed(path, lambda: load_pem_private_key(content, given), Ed25519PrivateKey, what)
    return PrivateKey(key_id(key.public_key()), key)


def write_new_key(path: Path) -> tuple[str, Path]:
    """Make a key; the private half goes to `path`, for its owner's eyes only, the public one beside it.

    The private half is encrypted where the environment has a passphrase.

    Returns:
        The key's id, and the file of the public half: `path` with `.pub` at its end.

    Raises:
        ConfigError: one of the files is there already, for a key that is lost cannot be made again; or it
            cannot be written.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    given = _passphrase()
    protection: Any = serialization.BestAvailableEncryption(given) if given else serialization.NoEncryption()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption_algorithm=protection
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    shared = path.with_name(f"{path.name}.pub")
    if shared.exists():
        raise ConfigError(f"{shared}: is there already, and no key is replaced. Choose another name.")
    _write_new(path, private, 0o600)
    _write_new(shared, public, 0o644)
    return key_id(key.public_key()), shared


def key_id(key: Ed25519PublicKey) -> str:
    """What tells keys apart; OpenSSL gives it too: `openssl pkey -pubin -outform DER | sha256sum`."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()[:16]


def _read_public_key(path: Path) -> PublicKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    content = _read(path, "PUBLIC KEY")
    key = _parsed(path, lambda: load_pem_public_key(content), Ed25519PublicKey, "an Ed25519 public key")
    return PublicKey(key_id(key), key)


def _read(path: Path, kind: str) -> bytes:
    """A PEM file with exactly one block of a kind: of several only the first would count, unnoticed."""
    try:
        with path.open("rb") as stream:
            content = stream.read(_MOST)
    except OSError as error:
        raise ConfigError(f"{path}: no key can be read there ({error.strerror}); {_MAKE_ONE}.") from error
    blocks = content.count(b"-----BEGIN ")
    if blocks != 1 or f"{kind}-----".encode() not in content:
        other = "PRIVATE KEY" if kind == "PUBLIC KEY" else "PUBLIC KEY"
        holds = f"{blocks} PEM blocks"
        if blocks == 1:
            holds = f"a {other.lower()}" if other.encode() in content else "something else"
        raise ConfigError(f"{path}: holds {holds}, expected one {kind.lower()} in PEM; {_MAKE_ONE}.")
    return content


def _parsed(path: Path, parse: Callable[[], object], kind: type[Any], what: str) -> Any:
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        key = parse()
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"{path}: is not {what} ({error}); {_MAKE_ONE}.") from error
    if not isinstance(key, kind):
        raise ConfigError(f"{path}: holds a {type(key).__name__}, expected {what}; {_MAKE_ONE}.")
    return key


def _passphrase() -> bytes | None:
    return os.environ.get(PASSPHRASE_VARIABLE, "").encode() or None


def _write_new(path: Path, content: bytes, mode: int) -> None:
    try:
        # Private from its first byte on: a change of mode afterwards would come too late.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    except FileExistsError as error:
        raise ConfigError(
            f"{path}: is there already, and no key is replaced. Choose another name."
        ) from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written ({error.strerror}).") from error
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
