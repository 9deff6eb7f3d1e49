"""Which requests are taken in: from where, with which token, and how large."""

from __future__ import annotations

import asyncio
import hmac
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from realnet_edge.errors import ConfigError
from realnet_edge.serving import is_loopback

_SHORTEST_TOKEN = 16
# Who guesses tokens waits this long for each answer.
_REFUSAL_S = 0.5
# How long a body may be on its way.
_BODY_S = 30.0
_REASONS = {
    404: "Nothing is here.",
    405: "POST it.",
    408: "The body does not come.",
    413: "The body is too large.",
}


def parse_place(address: str, scheme: str, token: str | None) -> tuple[str, int]:
    """Host and port of an address that is served.

    Args:
        address: SCHEME://HOST:PORT/.
        scheme: what it has to begin with.
        token: what requests bring; needed for any address that other machines reach.

    Raises:
        ConfigError: no such address, a token that is too short, or none where one is needed.
    """
    parts = urlsplit(address)
    try:
        port = parts.port
    except ValueError:
        port = None
    extra = parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc
    if parts.scheme != scheme or not parts.hostname or port is None or extra:
        raise ConfigError(f"{address} is nowhere to listen: valid is {scheme}://127.0.0.1:8090 for example.")
    if token is not None and len(token) < _SHORTEST_TOKEN:
        raise ConfigError(f"the token has {len(token)} characters: give at least {_SHORTEST_TOKEN}.")
    if token is None and not is_loopback(parts.hostname):
        raise ConfigError(
            f"{address} can be reached by other machines: give a file with a token (--trigger-token), or "
            "127.0.0.1."
        )
    return parts.hostname, port


class Gate:
    """Lets a machine's requests through, and no page of a browser.

    With a token, a request brings it as `Authorization: Bearer TOKEN`. Without one, only requests that name
    this machine by a loopback address are answered. What a browser sends for a page of elsewhere says so.
    """

    def __init__(self, app: ASGIApp, token: str | None) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = await self._refusal(Request(scope)) if scope["type"] == "http" else None
        await (answer or self._app)(scope, receive, send)

    async def _refusal(self, request: Request) -> Response | None:
        origin = request.headers.get("origin")
        host = request.headers.get("host", "")
        if origin is not None and origin.partition("://")[2] != host:
            return refused(403, "Pages of elsewhere have no parts.")
        if self._token is None:
            if is_loopback(_name_in(host)):
                return None
            return refused(403, "Parts are taken from this machine alone.")
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        # In constant time: an answer's delay says nothing of the token.
        if hmac.compare_digest(given.encode(), self._token.encode()):
            return None
        await asyncio.sleep(_REFUSAL_S)
        return refused(401, "Not without the token.", {"WWW-Authenticate": "Bearer"})


def _name_in(host: str) -> str | None:
    """The name or address without its port; None where there is none."""
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def refused(code: int, reason: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """An answer that says why not."""
    return JSONResponse({"error": reason}, code, headers)


async def body_of(request: Request, most: int) -> bytes:
    """A request's body.

    Args:
        most: bytes that it may have.

    Raises:
        HTTPException: 413 where it has more, 408 where it does not come.
    """
    try:
        return await asyncio.wait_for(_read(request, most), _BODY_S)
    except asyncio.TimeoutError:
        raise HTTPException(408) from None


async def _read(request: Request, most: int) -> bytes:
    if int(request.headers.get("content-length", "0")) > most:
        raise HTTPException(413)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        # Who states no length sends as long as somebody reads.
        if len(body) > most:
            raise HTTPException(413)
    return bytes(body)


async def said(request: Request, error: Exception) -> Response:
    """What goes wrong with a request, in the same form as refusals."""
    del request
    code = error.status_code if isinstance(error, HTTPException) else 500
    texts = {
        404: "Nothing is here.",
        405: "POST it.",
        408: "The body does not come.",
        413: "It is too large.",
    }
    return refused(code, texts.get(code, "That went wrong here."))
