"""The threshold over HTTP: anyone who sees the line may look, operators may change."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from realnet_edge.errors import ConfigError, RealnetEdgeError
from realnet_edge.monitor.threshold import ThresholdControl

Answer = Callable[[Request], Awaitable[Response]]


def threshold_routes(control: ThresholdControl) -> list[Route]:
    """`GET /threshold/preview?value=V`, and `POST /threshold` with `{"value": V or null, "bundle": ID}`."""
    return [
        Route("/threshold/preview", _preview(control)),
        Route("/threshold", _change(control), methods=["POST"]),
    ]


def _preview(control: ThresholdControl) -> Answer:
    async def answer(request: Request) -> Response:
        try:
            value = float(request.query_params.get("value", ""))
            found = await run_in_threadpool(control.preview, value)
        except (ValueError, ConfigError):
            return _refused(400, "The threshold has to be a number from 0 to 1.")
        return JSONResponse(vars(found))

    return answer


def _change(control: ThresholdControl) -> Answer:
    async def answer(request: Request) -> Response:
        visitor = request.scope["visitor"]
        if not visitor.is_operator:
            return _refused(403, "Only an operator changes the threshold: sign in as one.")
        try:
            value, bundle = _asked(json.loads(await request.body()))
        except (ValueError, KeyError, TypeError, RecursionError):
            return _refused(400, 'Valid is {"value": NUMBER FROM 0 TO 1 OR null, "bundle": ID}.')
        host = request.client.host if request.client else "unknown"
        try:
            change = await run_in_threadpool(control.change, value, bundle, visitor.name, host)
        except ConfigError as error:
            return _refused(409, str(error))
        except RealnetEdgeError as error:
            return _refused(507, str(error))
        return JSONResponse(vars(change))

    return answer


def _asked(document: Any) -> tuple[float | None, str]:
    """The threshold and the bundle that it is for.

    Raises:
        ValueError, KeyError, TypeError: another form.
    """
    value, bundle = document["value"], document["bundle"]
    if not isinstance(bundle, str) or isinstance(value, bool) or not isinstance(value, int | float | None):
        raise TypeError
    if value is not None and not 0.0 <= value <= 1.0:
        raise ValueError
    return (None if value is None else float(value)), bundle


def _refused(status: int, reason: str) -> Response:
    return JSONResponse({"error": reason}, status)
