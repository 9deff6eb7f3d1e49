"""Parts announced by HTTP requests."""

from __future__ import annotations

from types import TracebackType
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from realnet_edge.camera.triggers import REPEAT_S, Trigger, announced_id
from realnet_edge.errors import DataError
from realnet_edge.intake.endpoint import endpoint
from realnet_edge.intake.gate import body_of, refused

# An id and what a sender may say besides.
_LONGEST_BODY = 4096

_Trigger = TypeVar("_Trigger", bound="HttpTrigger")


class HttpTrigger(Trigger):
    """`POST /trigger` announces a part; use it in a `with` block.

    The body is `{"id": "A17"}`, the id alone, or empty. The answer is 202 with the part's id; 200 where the
    same id came before, within `repeat_s`, so that a request whose answer was lost may be sent again; 422
    where it cannot be read, which announces nothing; 503 while nobody inspects.

    Args:
        address: http://HOST:PORT/; port 0 takes a free one.
        token: what requests have to bring; needed for any address that other machines reach.
        repeat_s: see `Trigger`.

    Attributes:
        url: where it is reached.

    Raises:
        ConfigError: no such address, one that is taken, or one that others reach without a token.
    """

    def __init__(self, address: str, token: str | None = None, repeat_s: float = REPEAT_S) -> None:
        self._served = endpoint(address, "http", token, "/trigger", self._answer)
        self.url = f"http://{self._served.place}/"
        super().__init__(self.url, repeat_s)

    def __enter__(self: _Trigger) -> _Trigger:
        self._served.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._served.__exit__(kind, error, trace)

    def _start(self) -> None:
        """Requests find that somebody listens."""

    def _stop(self) -> None:
        """Requests find that nobody does."""

    async def _answer(self, request: Request) -> Response:
        try:
            given = announced_id(await body_of(request, _LONGEST_BODY))
        except DataError as error:
            return refused(422, str(error))
        name, outcome = self._announce(given)
        if outcome == "refused":
            return refused(503, "The line does not inspect now.", {"Retry-After": "1"})
        repeated = outcome == "repeated"
        return JSONResponse({"id": name, "repeated": repeated}, 200 if repeated else 202)
