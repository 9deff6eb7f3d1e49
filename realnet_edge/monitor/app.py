"""The pages and answers of a line, as an ASGI application.

Nothing of a request reaches the disk: every path is one of a fixed list, and every file is read at the start.
"""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from importlib.resources import files
from typing import Any

from PIL import Image
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.convertors import Convertor, register_url_convertor
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from realnet_edge.camera import Inspection
from realnet_edge.monitor.door import Door
from realnet_edge.monitor.guard import Guard
from realnet_edge.monitor.metrics import LineMetrics
from realnet_edge.monitor.signing_in import signing_routes
from realnet_edge.monitor.state import LineState
from realnet_edge.monitor.threshold import ThresholdControl
from realnet_edge.monitor.threshold_routes import threshold_routes
from realnet_edge.report.overlay import overlay

_EVERY_S = 0.5
_QUALITY = 80
# Larger pictures are shrunk for the page; the overlay of a 4K frame would take a phone seconds.
_WIDEST = 960
_FILES = {
    "/": ("page.html", "text/html"),
    "/page.js": ("page.js", "text/javascript"),
    "/threshold.js": ("threshold.js", "text/javascript"),
    "/page.css": ("page.css", "text/css"),
}
Answer = Callable[[Request], Awaitable[Response]]


class _Count(Convertor[int]):
    """A number that a counter reaches: Python reads none of thousands of digits."""

    regex = "[0-9]{1,18}"

    def convert(self, value: str) -> int:
        return int(value)

    def to_string(self, value: int) -> str:
        return str(value)


register_url_convertor("count", _Count())


def make_app(
    state: LineState,
    metrics: LineMetrics,
    door: Door,
    control: ThresholdControl | None,
    ended: Callable[[], bool],
) -> Starlette:
    """The application.

    Args:
        state: what it shows.
        metrics: what Prometheus reads.
        door: knows who may see and change what.
        control: shows and changes the threshold; without it nobody does.
        ended: whether the server ends, and with it what would go on for ever.
    """
    folder = files("realnet_edge.monitor") / "static"
    routes = [
        Route(path, _fixed((folder / name).read_text(), media)) for path, (name, media) in _FILES.items()
    ]
    routes += [
        Route("/events", _events(state, control, lambda request: door.may_go_on(request) and not ended())),
        Route("/cameras/{camera:count}/{index:count}.jpg", _picture(state.shown)),
        Route("/defects/{index:count}.jpg", _picture(state.defect)),
        Route("/healthz", _healthy),
        Route("/readyz", _ready(state)),
        Route("/metrics", _metrics(metrics)),
        *signing_routes(door, (folder / "login.html").read_text()),
        *(threshold_routes(control) if control else []),
    ]
    return Starlette(routes=routes, middleware=[Middleware(Guard, door=door)])


def _fixed(text: str, media: str) -> Answer:
    async def answer(request: Request) -> Response:
        del request
        return Response(text, media_type=media)

    return answer


def _events(
    state: LineState, control: ThresholdControl | None, may_go_on: Callable[[Request], bool]
) -> Answer:
    def found() -> str:
        document = {**state.snapshot(), "control": control.status() if control else None}
        return json.dumps(document, allow_nan=False)

    async def answer(request: Request) -> Response:
        async def lines() -> AsyncIterator[str]:
            while may_go_on(request) and not await request.is_disconnected():
                # The outbox asks its database how much waits: not in the thread that serves everyone.
                yield f"data: {await run_in_threadpool(found)}\n\n"
                await asyncio.sleep(_EVERY_S)

        return StreamingResponse(lines(), media_type="text/event-stream")

    return answer


def _picture(find: Callable[..., Inspection | None]) -> Answer:
    async def answer(request: Request) -> Response:
        inspection = find(**request.path_params)
        if inspection is None:
            return PlainTextResponse("No such picture.\n", 404)
        return Response(await run_in_threadpool(_drawn, inspection), media_type="image/jpeg")

    return answer


def _drawn(inspection: Inspection) -> bytes:
    image, found = inspection.frame.image, inspection.anomaly_map
    if image is None or found is None:
        raise ValueError("an inspection without a picture is never kept")
    picture = Image.fromarray(overlay(image, found, threshold=inspection.threshold, score=inspection.score))
    picture.thumbnail((_WIDEST, _WIDEST))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()


async def _healthy(request: Request) -> Response:
    del request
    return JSONResponse({"healthy": True})


def _ready(state: LineState) -> Answer:
    async def answer(request: Request) -> Response:
        del request
        reason = state.not_ready()
        document: dict[str, Any] = {"ready": reason is None, "reason": reason}
        return JSONResponse(document, 200 if reason is None else 503)

    return answer


def _metrics(metrics: LineMetrics) -> Answer:
    async def answer(request: Request) -> Response:
        del request
        text, media = await run_in_threadpool(metrics.text)
        return Response(text, headers={"Content-Type": media})

    return answer
