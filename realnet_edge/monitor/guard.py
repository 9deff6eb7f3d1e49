"""Who gets an answer, and what browsers may do with it."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from realnet_edge.monitor.door import Door, TooManyError
from realnet_edge.serving import is_loopback

# Supervisors have no token, and learn no more from these than whether the line works. Who signs in sees a
# page, which has a style.
_OPEN = frozenset({"/healthz", "/readyz", "/login", "/page.css"})
# Of a request: its address, cookies and all.
LONGEST_HEADERS = 16 * 1024
# A threshold or a password; more is a mistake.
_LONGEST_BODY = 4096
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    # With "no-referrer" browsers leave out of forms where they come from, which is what is checked here.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}
_HSTS = "max-age=31536000"


class Guard:
    """Lets through who may, and puts strict headers on every answer.

    A request is somebody's by `Authorization: Bearer TOKEN`, or by a cookie that `/login` or, once,
    `?token=TOKEN` has set. Where viewers need nothing, only requests that name this machine by a loopback
    address are answered, so that no page of elsewhere reads the line through someone's browser. What changes
    something has to come from a page of this server, or to bring its token as no page of elsewhere can.
    """

    def __init__(self, app: ASGIApp, door: Door) -> None:
        self._app = app
        self._door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def strict(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                if self._door.secure:
                    headers["Strict-Transport-Security"] = _HSTS
            await send(message)

        try:
            answer = self._own_answer(Request(scope))
        except TooManyError as error:
            answer = refusal(error)
        await (answer or self._app)(scope, _bounded(receive), strict)

    def _own_answer(self, request: Request) -> Response | None:
        """A refusal, or the way to where the token is not seen; None lets the request through."""
        self._door.count(request)
        if _length(request) > LONGEST_HEADERS:
            return PlainTextResponse("That is more of headers than anything here needs.\n", 431)
        if self._door.is_open and not is_loopback(request.url.hostname):
            return PlainTextResponse("This line is shown to its own machine alone.\n", 403)
        if request.method not in ("GET", "HEAD") and not _is_own(request):
            return PlainTextResponse("Only a page of this line may ask for that.\n", 403)
        if (token := request.query_params.get("token")) is not None:
            return self._by_address(token, request)
        if request.url.path in _OPEN:
            return None
        request.scope["visitor"] = visitor = self._door.visitor(request)
        return None if visitor else self._unknown(request)

    def _by_address(self, token: str, request: Request) -> Response:
        visitor = self._door.by_token(token, request)
        if visitor is None:
            return self._unknown(request)
        if visitor.is_operator:
            # Addresses stay in histories: good enough to look, not to change.
            return PlainTextResponse("Sign in with an operators' token at /login.\n", 403)
        # One slash: what begins with two is another server's address.
        answer = RedirectResponse(f"/{request.url.path.lstrip('/')}", 303)
        return self._door.let_in(visitor, token, answer)

    def _unknown(self, request: Request) -> Response:
        """A person is shown where to sign in, a program is refused; a token that is wrong is not kept."""
        if request.method == "GET" and "text/html" in request.headers.get("accept", ""):
            return self._door.forget_token(request, RedirectResponse("/login", 303))
        answer = PlainTextResponse("Not without a token.\n", 401, {"WWW-Authenticate": "Bearer"})
        return self._door.forget_token(request, answer)


def refusal(error: TooManyError) -> Response:
    """What an address gets that has to wait."""
    return PlainTextResponse(f"{error}\n", 429, {"Retry-After": str(error.wait_s)})


def _length(request: Request) -> int:
    names_and_values = sum(len(name) + len(value) for name, value in request.headers.raw)
    return names_and_values + len(request.scope["query_string"]) + len(request.scope["raw_path"])


def _is_own(request: Request) -> bool:
    origin = request.headers.get("origin")
    if origin is None:
        # No browser leaves it out; a program that has a token needs none.
        return "authorization" in request.headers
    # Compared as text: what is no address at all is none of ours either.
    return origin.partition("://")[2] == request.headers.get("host")


def _bounded(receive: Receive) -> Receive:
    """Receive no more of a body than anything here needs."""
    seen = 0

    async def bounded() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > _LONGEST_BODY:
            raise HTTPException(413, f"A body may have {_LONGEST_BODY} bytes here.\n")
        return message

    return bounded
