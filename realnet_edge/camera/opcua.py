"""How it stands with a line, for control systems: an OPC UA server."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from realnet_edge.camera.alarms import Alarm, Trouble
from realnet_edge.camera.backoff import Backoff
from realnet_edge.camera.board import Board, Standing
from realnet_edge.camera.opcua_access import Endpoint, Readers, restrict
from realnet_edge.camera.results import Inspection

if TYPE_CHECKING:
    from asyncua import Server, ua

NAMESPACE = "urn:realnet-edge:line"
# Variables are written at most so often: what a control system asks for, at a bearable cost to the engine.
_SHORTEST_S = 0.02
# How often they are looked at when no result comes, for the line may have stopped inspecting.
_POLL_S = 0.5
_END_S = 0.7
# Name and type of each variable. Those of the first row are of the newest result.
_OF_RESULT = (
    *(("Verdict", "String"), ("Score", "Double"), ("Threshold", "Double")),
    *(("PartId", "String"), ("Timestamp", "DateTime")),
)
_OF_LINE = (
    *(("Frames", "UInt64"), ("Good", "UInt64"), ("Defects", "UInt64"), ("NotInspected", "UInt64")),
    *(("Dropped", "UInt64"), ("Inspecting", "Boolean"), ("State", "String")),
)

_Server = TypeVar("_Server", bound="OpcUaServer")


@dataclass(frozen=True)
class _Variable:
    node: Any
    kind: Any


class OpcUaServer:
    """Serves a board's standings, in a thread of its own; use it in a `with` block and call it with results.

    Under Objects lies an object named by the category, in it one for each camera that has a name, in it the
    variables: their node ids are `ns=NAMESPACE;s=CATEGORY.VARIABLE` and `s=CATEGORY.CAMERA.VARIABLE`. Verdict
    is "good", "defect" or "not_inspected". While nothing is inspected what belongs to the newest result has
    the status UncertainLastUsableValue, before the first one BadWaitingForInitialData and no value; the
    score of a frame that was not inspected has BadNoData and no value. Clients may read and subscribe,
    nothing else.

    Building the server takes some seconds of a processor, beside the inspection; until then nobody answers.
    All objects of the process at that time are kept from the garbage collector then (`gc.freeze`).

    Args:
        endpoint: where.
        category: what is inspected.
        board: gives the standings; it must have had a result before this sink has it.
        on_alarm: hears of a server that fails; it is built anew.

    Raises:
        ConfigError: nothing can listen there.
    """

    def __init__(self, endpoint: Endpoint, category: str, board: Board, on_alarm: Alarm) -> None:
        import asyncua  # noqa: F401  # told now if it is not installed, not in the thread

        # It tells the terminal what it thinks of certificates; here an alarm says what fails.
        logging.getLogger("asyncua").addHandler(logging.NullHandler())
        endpoint.check_free()
        self.url = endpoint.url
        self.ready = threading.Event()
        self._endpoint = endpoint
        self._category = category
        self._board = board
        self._trouble = Trouble(self.url, on_alarm)
        self._leaving = threading.Event()
        self._listened = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._work, name="opcua", daemon=True)

    def __call__(self, inspection: Inspection) -> None:
        self._wake()

    def __enter__(self: _Server) -> _Server:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()
        # One that is still being built has nobody to take leave of, and is left to the end of the process.
        if self._listened:
            self._thread.join(_END_S + 0.2)

    def leave(self) -> None:
        """End; waits for nothing. Leaving the block does it otherwise."""
        self._leaving.set()
        self._wake()

    def _wake(self) -> None:
        # None before the server is built; closed behind its end.
        if (loop := self._loop) is not None:
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._changed.set)

    def _work(self) -> None:
        backoff = Backoff(2.0, 60.0)
        while not self._leaving.is_set():
            self._served(backoff)

    def _served(self, backoff: Backoff) -> None:
        try:
            asyncio.run(self._serve())
        except Exception as error:  # noqa: BLE001  # whatever fails in it, the line goes on
            self._trouble.failed(f"the OPC UA server failed ({error}) and is started again")
            self._leaving.wait(backoff.next())

    async def _serve(self) -> None:
        # Of this loop: a server that failed is built anew in another one.
        self._changed, self._loop = asyncio.Event(), asyncio.get_running_loop()
        self._loop.set_default_executor(_Here())
        server = await self._built()
        written: dict[str, Any] = {}
        variables = await self._variables(server)
        if self._leaving.is_set():
            return
        self._listened = True
        await server.start()
        try:
            while not self._leaving.is_set():
                await self._publish(server, variables, written)
                self.ready.set()
                self._trouble.works()
                await asyncio.sleep(_SHORTEST_S)
                with suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), _POLL_S)
                self._changed.clear()
        finally:
            self.ready.clear()
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(server.stop(), _END_S)

    async def _built(self) -> Server:
        from asyncua import Server

        server = Server(user_manager=Readers(self._endpoint))
        # Its own clock holds up the end by a second; `_publish` does the same.
        server.disable_clock()
        await server.init()
        server.set_endpoint(self.url)
        server.set_server_name("realnet-edge")
        await server.set_application_uri(f"urn:realnet-edge:{self._category}")
        await restrict(server, self._endpoint)
        # Nearly half a million objects that stay: each full collection would look through them, and hold up
        # the inspection for as long; so would the end of the process.
        gc.freeze()
        return server

    async def _variables(self, server: Server) -> dict[str, _Variable]:
        """Every variable, by its node id's text."""
        from asyncua import ua

        space = await server.register_namespace(NAMESPACE)
        line = await server.nodes.objects.add_object(
            ua.NodeId(self._category, space), ua.QualifiedName(self._category, space)
        )
        found = {}
        for camera in self._board.cameras:
            path = self._path(camera)
            parent = line
            if camera is not None:
                parent = await line.add_object(ua.NodeId(path, space), ua.QualifiedName(camera, space))
            for name, kind_name in (*_OF_RESULT, *_OF_LINE):
                kind = ua.VariantType[kind_name]
                node = await parent.add_variable(
                    ua.NodeId(f"{path}.{name}", space), ua.QualifiedName(name, space), _empty(kind), kind
                )
                found[f"{path}.{name}"] = _Variable(node.nodeid, kind)
        return found

    async def _publish(
        self, server: Server, variables: dict[str, _Variable], written: dict[str, Any]
    ) -> None:
        from asyncua import ua

        now = datetime.now(timezone.utc)
        await server.write_attribute_value(
            ua.NodeId(ua.ObjectIds.Server_ServerStatus_CurrentTime), ua.DataValue(ua.Variant(now))
        )
        for camera in self._board.cameras:
            standing = self._board.standing(camera)
            taken = _taken(standing) or now
            for name, value, status in _values(standing):
                path = f"{self._path(camera)}.{name}"
                if written.get(path) == (value, status):
                    continue
                written[path] = (value, status)
                variable = variables[path]
                found = ua.DataValue(
                    ua.Variant(value, variable.kind),
                    ua.StatusCode(status),
                    SourceTimestamp=taken,
                    ServerTimestamp=now,
                )
                await server.write_attribute_value(variable.node, found)

    def _path(self, camera: str | None) -> str:
        return self._category if camera is None else f"{self._category}.{camera}"


class _Here(ThreadPoolExecutor):
    """Calls at once: the server is built in a worker's thread else, and a process waits for those to end."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001  # as any executor does
            future.set_exception(error)
        return future


def _values(standing: Standing) -> Iterator[tuple[str, Any, int]]:
    """Name, value and status code of each variable."""
    from asyncua import ua

    newest, good = standing.newest, ua.StatusCodes.Good
    status = good if standing.idle is None else ua.StatusCodes.UncertainLastUsableValue
    if newest is None:
        for name, kind in _OF_RESULT:
            yield name, _empty(ua.VariantType[kind]), ua.StatusCodes.BadWaitingForInitialData
    else:
        missing = newest.score is None
        yield "Verdict", newest.verdict, status
        yield "Score", newest.score or 0.0, ua.StatusCodes.BadNoData if missing else status
        yield "Threshold", newest.threshold, status
        yield "PartId", newest.frame.id, status
        yield "Timestamp", _taken(standing), status
    yield "Frames", standing.frames, good
    yield "Good", standing.good, good
    yield "Defects", standing.defects, good
    yield "NotInspected", standing.not_inspected, good
    yield "Dropped", standing.dropped, good
    yield "Inspecting", standing.idle is None, good
    yield "State", standing.idle or "inspecting", good


def _taken(standing: Standing) -> datetime | None:
    """When the newest frame was taken in hand, in UTC."""
    return None if standing.newest is None else datetime.fromisoformat(standing.newest.frame.timestamp)


def _empty(kind: ua.VariantType) -> Any:
    """A value of a type, for the time before there is one."""
    from asyncua import ua

    return {
        ua.VariantType.String: "",
        ua.VariantType.Double: 0.0,
        ua.VariantType.UInt64: 0,
        ua.VariantType.Boolean: False,
        ua.VariantType.DateTime: datetime(1601, 1, 1, tzinfo=timezone.utc),
    }[kind]
