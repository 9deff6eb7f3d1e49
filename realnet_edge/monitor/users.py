"""People who may sign in: a file with a name, a role and a salted hash of a password on each line."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from realnet_edge.errors import ConfigError
from realnet_edge.files import atomic_path

VIEWER, OPERATOR = "viewer", "operator"
ROLES = (VIEWER, OPERATOR)
SHORTEST_PASSWORD = 10

# One of the settings that OWASP's password storage cheat sheet gives for scrypt: 16 MiB for a moment, little
# enough for a device that inspects meanwhile.
_COST, _BLOCK, _PARALLEL = 2**14, 8, 5
_MEMORY = 64 * 2**20
_SALT_BYTES, _KEY_BYTES = 16, 32
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
# Longer ones would make the hash a way to keep the processor busy.
_LONGEST_PASSWORD = 256


@dataclass(frozen=True)
class User:
    """Someone who may sign in.

    Attributes:
        name: letters, digits and `._-`.
        role: "viewer" or "operator".
        salt: 16 random bytes.
        key: scrypt of the password and the salt, 32 bytes.
    """

    name: str
    role: str
    salt: bytes
    key: bytes

    @classmethod
    def new(cls, name: str, role: str, password: str) -> User:
        """A user with this password.

        Raises:
            ConfigError: a name, a role or a password that cannot be taken.
        """
        if not _NAME.fullmatch(name):
            raise ConfigError(f"user {name!r}: names have up to 64 letters, digits, '.', '_' and '-'.")
        if role not in ROLES:
            raise ConfigError(f"role {role!r}: valid are {' and '.join(ROLES)}.")
        if not SHORTEST_PASSWORD <= len(password) <= _LONGEST_PASSWORD:
            raise ConfigError(
                f"the password has {len(password)} characters: give {SHORTEST_PASSWORD} to "
                f"{_LONGEST_PASSWORD}."
            )
        salt = secrets.token_bytes(_SALT_BYTES)
        return cls(name, role, salt, _scrypt(password, salt))

    def has(self, password: str) -> bool:
        """Whether this is the password; compared in constant time."""
        return hmac.compare_digest(_scrypt(password[: _LONGEST_PASSWORD + 1], self.salt), self.key)

    def to_line(self) -> str:
        return f"{self.name}:{self.role}:scrypt:{self.salt.hex()}:{self.key.hex()}\n"

    @classmethod
    def from_line(cls, line: str) -> User:
        """The user that `to_line` wrote.

        Raises:
            ValueError: another form.
        """
        name, role, method, salt, key = line.split(":")
        user = cls(name, role, bytes.fromhex(salt), bytes.fromhex(key))
        whole = method == "scrypt" and len(user.salt) == _SALT_BYTES and len(user.key) == _KEY_BYTES
        if not (whole and role in ROLES and _NAME.fullmatch(name)):
            raise ValueError("not NAME:ROLE:scrypt:SALT:KEY")
        return user


# Whoever gives a name that is not there waits as long as one who gives a wrong password.
_NOBODY = User("-", VIEWER, bytes(_SALT_BYTES), bytes(_KEY_BYTES))


def find(users: Mapping[str, User], name: str, password: str) -> User | None:
    """The user with this name and password; takes as long whether the name is there or not."""
    user = users.get(name, _NOBODY)
    return user if user.has(password) and user is not _NOBODY else None


def read_users(path: Path) -> dict[str, User]:
    """The users of a file by name.

    Raises:
        ConfigError: it cannot be read, or a line is none of ours.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise ConfigError(
            f"{path}: cannot be read ({reason}). `realnet-edge users add NAME --file {path}` makes it."
        ) from error
    found: dict[str, User] = {}
    for number, line in enumerate(lines, 1):
        try:
            user = User.from_line(line)
        except ValueError as error:
            # Never the line itself: it holds a hash.
            raise ConfigError(
                f"{path}, line {number}: no user as `realnet-edge users add` writes one. Remove the line "
                "and add the user again."
            ) from error
        found[user.name] = user
    return found


def write_users(path: Path, users: Mapping[str, User]) -> None:
    """Write a users' file that its owner alone can read.

    Raises:
        ConfigError: it cannot be written.
    """
    try:
        with atomic_path(path) as temporary:
            temporary.write_text("".join(user.to_line() for user in users.values()), encoding="utf-8")
        path.chmod(0o600)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written ({error.strerror}).") from error


def _scrypt(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(
        password.encode(), salt=salt, n=_COST, r=_BLOCK, p=_PARALLEL, maxmem=_MEMORY, dklen=_KEY_BYTES
    )
