"""A plant's systems to test against: a Modbus device, a small disk; and results as a line gives them."""

from __future__ import annotations

import asyncio
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
from pymodbus.pdu import ModbusPDU
from pymodbus.pdu.bit_message import WriteSingleCoilRequest
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice
from waiting_peers import PATIENCE_S

from realnet_edge.camera import Frame, Inspection, Latency

UNIT, COILS = 3, 8


def inspection(
    index: int,
    verdict: str = "good",
    *,
    age_s: float = 0.0,
    camera: str | None = None,
    size: tuple[int, int] = (48, 64),
    name: str | None = None,
) -> Inspection:
    """A result on a frame in one grey, taken so long ago."""
    taken = datetime.now(timezone.utc) - timedelta(seconds=age_s)
    image = np.full((*size, 3), 40 + index % 200, np.uint8)
    frame = Frame(
        name or f"part{index}.png",
        "parts",
        taken.isoformat(timespec="milliseconds"),
        None,
        image,
        None,
        1.0,
        camera,
    )
    if verdict == "not_inspected":
        return Inspection(index, frame, verdict, 0.5, "toy", error="broken")
    anomaly_map = np.zeros((32, 32), np.float32)
    score = 0.75 if verdict == "defect" else 0.25
    return Inspection(index, frame, verdict, 0.5, "toy", score, anomaly_map, Latency(1.0, 1.0, 1.0, 1.0))


class ModbusDevice:
    """pymodbus' server with 8 coils at unit 3; `writes` has every write to coil 5, in order."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.writes: list[bool] = []
        self._loop = asyncio.new_event_loop()
        self._up = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))
        self._thread.start()
        assert self._up.wait(PATIENCE_S)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()

    async def _serve(self) -> None:
        self._ended = asyncio.Event()
        coils = [SimData(0, values=[False] * COILS, datatype=DataType.BITS)]
        others = [SimData(0, values=0, datatype=DataType.REGISTERS)]
        device = SimDevice(
            UNIT, simdata=(coils, [SimData(0, values=[False], datatype=DataType.BITS)], others, others)
        )
        server = ModbusTcpServer(device, address=("127.0.0.1", self.port), trace_pdu=self._seen)
        await server.serve_forever(background=True)
        self._up.set()
        await self._ended.wait()
        await server.shutdown()

    def _seen(self, sending: bool, pdu: ModbusPDU) -> ModbusPDU:
        if not sending and isinstance(pdu, WriteSingleCoilRequest) and pdu.address == 5:
            self.writes += [bool(bit) for bit in pdu.bits[:1]]
        return pdu


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A file system of its own at a folder, so large; raises OSError where this user may mount none."""
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True, text=True
    )
    if done.returncode:
        raise OSError(done.stderr)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
