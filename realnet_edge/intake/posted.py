"""Parts whose pictures come as HTTP requests, and whose verdicts go back as the answers."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Iterator
from types import TracebackType
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from realnet_edge.camera import Inspection, Source
from realnet_edge.camera.frames import Frame, utc_now
from realnet_edge.camera.triggers import checked_id, made_up_id
from realnet_edge.errors import DataError
from realnet_edge.imaging import decode_image
from realnet_edge.intake.answers import Answers
from realnet_edge.intake.endpoint import endpoint
from realnet_edge.intake.gate import body_of, refused

# A camera of 20 megapixels sends a JPEG in half as much, one of 5 a PNG.
_LARGEST_BODY = 16 * 1024 * 1024
_KINDS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")
# Pictures that may wait for their turn.
_WAITING = 8
# After so long the answer says that the verdict is still to come.
_ANSWER_S = 30.0

_Posted = TypeVar("_Posted", bound="PostedSource")


class PostedSource(Source):
    """`POST /inspect?id=A17` with a JPEG or PNG in the body is a part; use it in a `with` block.

    The answer is 200 with the part's result, the same document as its line in the results, or 202 with its
    id where that takes longer than half a minute. 415 and 413 say that the body is no such picture or too
    large, 409 that a part of this id is under way, 503 that too many wait or the line stops: nothing is
    inspected then. What was taken in never gives way, and always gives one result.

    The source is a sink as well, which has to be called with each result: it answers the requests.

    Args:
        address: post://HOST:PORT; port 0 takes a free one.
        token: what requests have to bring; needed for any address that other machines reach.

    Attributes:
        url: where pictures are sent to.

    Raises:
        ConfigError: no such address, one that is taken, or one that others reach without a token.
    """

    endless = triggered = True

    def __init__(self, address: str, token: str | None = None) -> None:
        self._served = endpoint(address, "post", token, "/inspect", self._answer)
        self.name = f"post://{self._served.place}"
        self.url = f"http://{self._served.place}/inspect"
        self._answers = Answers(self.name)
        self._changed = threading.Condition()
        self._waiting: deque[tuple[str, str, bytes]] = deque()
        self._open = self._stopped = False

    def __len__(self) -> int:
        return 0

    def __call__(self, inspection: Inspection) -> None:
        self._answers(inspection)

    def frames(self) -> Iterator[Frame]:
        """A frame a part. After `stop` those of the parts that still wait, without an image."""
        with self._changed:
            self._open = not self._stopped
        while (part := self._next()) is not None:
            name, timestamp, body = part
            if self._stopped:
                reason = "the line stopped before its turn"
                yield Frame(name, self.name, timestamp, None, None, reason, 0.0)
            else:
                yield self._decoded(name, timestamp, body)

    def stop(self) -> None:
        with self._changed:
            self._stopped, self._open = True, False
            self._changed.notify_all()

    def close(self) -> None:
        """The server goes with the `with` block, when the last requests are answered."""

    def __enter__(self: _Posted) -> _Posted:
        self._served.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._served.__exit__(kind, error, trace)

    def _next(self) -> tuple[str, str, bytes] | None:
        with self._changed:
            while not self._waiting:
                if self._stopped:
                    return None
                self._changed.wait()
            return self._waiting.popleft()

    def _decoded(self, name: str, timestamp: str, body: bytes) -> Frame:
        image, error, started = None, None, time.perf_counter()
        try:
            image = decode_image(body, name)
        except DataError as problem:
            error = str(problem)
        return Frame(name, self.name, timestamp, None, image, error, (time.perf_counter() - started) * 1e3)

    def _take(self, name: str, body: bytes) -> str | None:
        """Have the part inspected; gives the reason where it is not."""
        with self._changed:
            if not self._open:
                return "The line does not inspect now."
            if len(self._waiting) >= _WAITING:
                return f"{_WAITING} pictures wait already."
            self._waiting.append((name, utc_now(), body))
            self._changed.notify_all()
        return None

    async def _answer(self, request: Request) -> Response:
        body = await body_of(request, _LARGEST_BODY)
        if not body.startswith(_KINDS):
            return refused(415, "The body is neither JPEG nor PNG.")
        try:
            given = request.query_params.get("id")
            name = made_up_id() if given is None else checked_id(given)
        except DataError as error:
            return refused(422, str(error))
        expected = self._answers.expect(name)
        if expected is None:
            return refused(409, f"Part {name} is under way already.")
        if reason := self._take(name, body):
            self._answers.forget(name)
            return refused(503, reason, {"Retry-After": "1"})
        try:
            return JSONResponse(await asyncio.wait_for(asyncio.wrap_future(expected), _ANSWER_S))
        except asyncio.TimeoutError:
            return JSONResponse({"id": name, "verdict": None}, 202)
