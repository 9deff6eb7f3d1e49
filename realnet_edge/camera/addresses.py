"""Addresses of cameras, brokers and servers: what may be shown of them, and secrets kept out of commands."""

from __future__ import annotations

import os
import re
from urllib.parse import urlsplit, urlunsplit

from realnet_edge.errors import ConfigError

_REFERENCE = re.compile(r"\$\{(\w+)\}")


def shown(address: str) -> str:
    """An address as logs and results may have it: without the password, and without what follows a `?`.

    Args:
        address: a URL.
    """
    parts = urlsplit(address)
    account, at, host = parts.netloc.rpartition("@")
    user = account.partition(":")[0]
    return urlunsplit((parts.scheme, user + at + host, parts.path, "", ""))


def check_host(address: str, option: str) -> None:
    """Refuse an address that leads nowhere: it would be tried for ever.

    Raises:
        ConfigError: no host, or a port that there cannot be.
    """
    try:
        parts = urlsplit(address)
        good = bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        scheme = address.partition("://")[0]
        raise ConfigError(
            f"{option}: this address has no host, or no port from 1 to 65535. Give {scheme}://HOST or "
            f"{scheme}://HOST:PORT and what follows."
        )


def refuse_password(text: str, option: str) -> None:
    """Refuse an address of the command line with a password in it: every user of the machine can read that.

    Args:
        text: what the user gave; ${NAME} may stand for a password.
        option: where, for the error.

    Raises:
        ConfigError: a password.
    """
    if "://" not in text or " ! " in text:
        return
    place = re.split(r"[/?#]", text.partition("://")[2])[0]
    password = place.rpartition("@")[0].partition(":")[2]
    if password and not _REFERENCE.fullmatch(password):
        raise ConfigError(
            f"{option}: a password on the command line can be read by everyone on this machine. Put it into "
            "an environment variable, and ${NAME} in its place."
        )


def filled_in(text: str, option: str) -> str:
    """Environment variables in place of ${NAME}: passwords have no business on a command line.

    Args:
        text: what the user gave.
        option: where, for the error.

    Raises:
        ConfigError: a variable that is not set.
    """

    def value(match: re.Match[str]) -> str:
        if match[1] not in os.environ:
            raise ConfigError(f"{option} asks for ${{{match[1]}}}, and no such environment variable is set.")
        return os.environ[match[1]]

    return _REFERENCE.sub(value, text)
