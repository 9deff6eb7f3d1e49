"""Who may see a line, and what browsers may do with its pages."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "realnet_edge_token"
# Supervisors have no token, and learn no more from these than whether the line works.
_OPEN = frozenset({"/healthz", "/readyz"})
# Who guesses tokens waits this long for each answer.
_REFUSAL_S = 0.5
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Guard:
    """Lets through who may, and puts strict headers on every answer.

    With a token, a request brings it as `Authorization: Bearer TOKEN`, or once as `?token=TOKEN`: it gets a
    cookie then, and the address without the token. Without one, only requests that name this machine by a
    loopback address are answered, so that no page of elsewhere reads the line through someone's browser.
    """

    def __init__(self, app: ASGIApp, token: str | None) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def strict(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        answer = await self._own_answer(Request(scope))
        await (answer or self._app)(scope, receive, strict)

    async def _own_answer(self, request: Request) -> Response | None:
        """A refusal, or the way to where the token is not seen; None lets the request through."""
        if request.url.path in _OPEN:
            return None
        if self._token is None:
            if _is_loopback(request.url.hostname):
                return None
            return PlainTextResponse("This line is shown to its own machine alone.\n", 403)
        if not _same(request.query_params.get("token", ""), self._token):
            bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
            if _same(bearer, self._token) or _same(request.cookies.get(COOKIE, ""), self._token):
                return None
            await asyncio.sleep(_REFUSAL_S)
            return PlainTextResponse("Not without the token.\n", 401, {"WWW-Authenticate": "Bearer"})
        # One slash: what begins with two is another server's address.
        answer = RedirectResponse(f"/{request.url.path.lstrip('/')}", 303)
        secure = request.url.scheme == "https"
        answer.set_cookie(COOKIE, self._token, httponly=True, samesite="strict", secure=secure)
        return answer


def _same(given: str, token: str) -> bool:
    """Compared in constant time: an answer's delay says nothing of the token."""
    return hmac.compare_digest(given.encode(), token.encode())


def _is_loopback(host: str | None) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False
