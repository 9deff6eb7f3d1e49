"""Where machines POST parts to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from realnet_edge.intake.gate import Gate, parse_place, said
from realnet_edge.serving import Limits, Served, listen

# Machines of one line; each may be sending a picture.
_LIMITS = Limits(connections=32)


def endpoint(
    address: str, scheme: str, token: str | None, path: str, answer: Callable[[Request], Awaitable[Response]]
) -> Served:
    """A server that takes POST requests at one path, from those who may.

    Args:
        address: see `parse_place`; port 0 takes a free one.
        scheme: what the address has to begin with.
        token: what requests have to bring; needed for any address that other machines reach.
        path: where parts are sent to.
        answer: takes the requests.

    Raises:
        ConfigError: no such address, one that is taken, or one that others reach without a token.
    """
    app = Starlette(
        routes=[Route(path, answer, methods=["POST"])],
        middleware=[Middleware(Gate, token=token)],
        exception_handlers={HTTPException: said},
    )
    return Served(app, listen(*parse_place(address, scheme, token)), "intake", _LIMITS)
