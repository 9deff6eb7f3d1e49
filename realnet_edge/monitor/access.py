"""Who may see a line, and who may change how it decides."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from realnet_edge.errors import ConfigError
from realnet_edge.monitor.users import OPERATOR, VIEWER, User, find

_SHORTEST_TOKEN = 16
# What a bearer token may have, RFC 6750.
_CHARACTERS = re.compile(r"[A-Za-z0-9._~+/=-]+")
# A shift and its handing over.
_SESSION_S = 12 * 3600.0
_SESSIONS = 256


@dataclass(frozen=True)
class Visitor:
    """Someone whose request is answered; the name is what the record of changes says."""

    name: str
    role: str

    @property
    def is_operator(self) -> bool:
        return self.role == OPERATOR


@dataclass(frozen=True)
class Access:
    """What requests may bring to be let in.

    Without a viewers' token and without users, viewers at the line's own machine need nothing. Nobody is an
    operator without a token or a password, there either: every program of every user of that machine can
    send a request, and a change has to be on record under somebody's name.

    Args:
        viewer_token: shows the line.
        operator_token: shows it and changes the threshold.
        users: by name, each with a role.

    Raises:
        ConfigError: a token that is too short or cannot stand in a header, or one for both roles.
    """

    viewer_token: str | None = None
    operator_token: str | None = None
    users: Mapping[str, User] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, token in (("viewers'", self.viewer_token), ("operators'", self.operator_token)):
            if token is not None and len(token) < _SHORTEST_TOKEN:
                raise ConfigError(
                    f"the {name} token has {len(token)} characters: give at least {_SHORTEST_TOKEN}."
                )
            if token is not None and not _CHARACTERS.fullmatch(token):
                raise ConfigError(
                    f"the {name} token has other characters than letters, digits and ._~+/=-: `openssl rand "
                    "-hex 24` makes a good one."
                )
        if self.viewer_token is not None and self.viewer_token == self.operator_token:
            raise ConfigError("viewers and operators have the same token: give each role its own.")

    @property
    def is_open(self) -> bool:
        """Whether viewers need nothing at the line's own machine."""
        return self.viewer_token is None and not self.users

    @property
    def has_operators(self) -> bool:
        """Whether anybody may change the threshold."""
        return self.operator_token is not None or any(user.role == OPERATOR for user in self.users.values())

    @property
    def has_any(self) -> bool:
        """Whether there is anything to sign in with."""
        return not self.is_open or self.operator_token is not None

    def by_token(self, token: str) -> Visitor | None:
        """Whose token this is; takes as long whether it is one or not."""
        operator, viewer = _same(token, self.operator_token), _same(token, self.viewer_token)
        if operator:
            return Visitor("operators' token", OPERATOR)
        return Visitor("viewers' token", VIEWER) if viewer else None

    def by_password(self, name: str, password: str) -> Visitor | None:
        """Whose name and password these are; takes tenths of a second on purpose."""
        user = find(self.users, name, password)
        return Visitor(user.name, user.role) if user else None


class Sessions:
    """Those who have signed in, by what their cookie holds; in memory, bounded, and used from one thread.

    Args:
        clock: seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: OrderedDict[bytes, tuple[Visitor, float]] = OrderedDict()

    def start(self, visitor: Visitor) -> str:
        """What the cookie of a new session holds."""
        cookie = secrets.token_urlsafe(32)
        self._known[_digest(cookie)] = (visitor, self._clock() + _SESSION_S)
        if len(self._known) > _SESSIONS:
            self._known.popitem(last=False)
        return cookie

    def visitor(self, cookie: str) -> Visitor | None:
        """Whose cookie this is; found by its hash, so that an answer's delay says nothing of others."""
        visitor, until = self._known.get(_digest(cookie), (None, 0.0))
        return visitor if self._clock() < until else None

    def end(self, cookie: str) -> None:
        """The cookie is worth nothing from now on."""
        self._known.pop(_digest(cookie), None)


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _same(given: str, token: str | None) -> bool:
    """Compared in constant time, and by hashes, so that not even its length shows; None is never given."""
    same = hmac.compare_digest(_digest(given), _digest(token or ""))
    return same and token is not None
