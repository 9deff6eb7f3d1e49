"""Signing in and out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from realnet_edge.monitor.door import Door, TooManyError

# Where the page says what was wrong; nothing of a request is ever put there.
_PLACE = "<!-- problem -->"
_WRONG = "That is no name and password, and no token, of this line."
Answer = Callable[[Request], Awaitable[Response]]


def signing_routes(door: Door, page: str) -> list[Route]:
    """What signs in and out.

    Args:
        door: knows who may.
        page: HTML with a form.
    """
    return [
        Route("/login", _form(page), methods=["GET"]),
        Route("/login", _sign_in(door, page), methods=["POST"]),
        Route("/logout", _sign_out(door), methods=["POST"]),
        Route("/me", _me(door)),
    ]


def _form(page: str) -> Answer:
    async def answer(request: Request) -> Response:
        del request
        return HTMLResponse(page)

    return answer


def _sign_in(door: Door, page: str) -> Answer:
    async def answer(request: Request) -> Response:
        given = parse_qs((await request.body()).decode("utf-8", "replace"), max_num_fields=8)
        name, password = (given.get(field, [""])[0] for field in ("name", "password"))
        name, token = name.strip(), password.strip()
        try:
            if name:
                visitor = await door.by_password(name, password, request)
            else:
                visitor = door.by_token(token, request)
        except TooManyError as error:
            return _problem(page, str(error), 429, {"Retry-After": str(error.wait_s)})
        if visitor is None:
            return _problem(page, _WRONG, 401)
        return door.let_in(visitor, "" if name else token, RedirectResponse("/", 303))

    return answer


def _problem(page: str, text: str, status: int, headers: dict[str, str] | None = None) -> Response:
    return HTMLResponse(page.replace(_PLACE, f'<p id="problem" role="alert">{text}</p>'), status, headers)


def _sign_out(door: Door) -> Answer:
    async def answer(request: Request) -> Response:
        return door.let_out(request, RedirectResponse("/" if door.is_open else "/login", 303))

    return answer


def _me(door: Door) -> Answer:
    async def answer(request: Request) -> Response:
        visitor = request.scope["visitor"]
        document = {"name": visitor.name, "role": visitor.role, "can_sign_in": door.access.has_any}
        return JSONResponse(document)

    return answer
