"""How warm the device is and what power it takes, as far as it says so itself.

Three who may know: NVIDIA's management library (nvidia-ml-py) of GPUs, `tegrastats` of a Jetson, and the
kernel's thermal zones. What none of them says is not reported.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

_ZONES = Path("/sys/class/thermal")
_TEGRASTATS = ("tegrastats", "--interval", "5000")
# How long tegrastats may take to end; it has nothing to save.
_END_S = 1.0
# As JetPack 5 and 6 write them: `tj@49.656C`, `VDD_IN 4585mW/4585mW` (now, and the mean since the start).
_TEMPERATURE = re.compile(r"(?<!\S)(\w+)@(-?\d+(?:\.\d+)?)C(?!\S)")
_POWER = re.compile(r"(?<!\S)(\w+) (\d+)mW/\d+mW(?!\S)")
# What is switched off stands there as -256 C.
_COLDEST, _HOTTEST = -60.0, 200.0
# An input of the meter that nothing is connected to.
_NOT_CONNECTED = "NC"

_Device = TypeVar("_Device", bound="Device")


@dataclass(frozen=True)
class Reading:
    """One sensor's value.

    Attributes:
        kind: "temperature" in degrees Celsius, or "power" in watts.
        source: who says so: "nvml", "tegrastats" or "thermal".
        sensor: its name there.
        value: in the unit of its kind.
    """

    kind: str
    source: str
    sensor: str
    value: float


class Device:
    """Reads this machine's sensors; use it in a `with` block.

    A Jetson's thermal zones are those that `tegrastats` reports, so they are read only where it is not.

    Args:
        zones: the kernel's folder of thermal zones.
        tegrastats: command that prints a line every few seconds.
    """

    def __init__(self, zones: Path = _ZONES, tegrastats: Sequence[str] = _TEGRASTATS) -> None:
        self._zones = zones
        self._tegrastats = tegrastats
        self._readers: list[Callable[[], list[Reading]]] = []
        self._opened = ExitStack()

    def __enter__(self: _Device) -> _Device:
        if (nvml := open_nvml(self._opened)) is not None:
            self._readers.append(nvml)
        if shutil.which(self._tegrastats[0]):
            self._readers.append(self._opened.enter_context(Tegrastats(self._tegrastats)).read)
        else:
            self._readers.append(lambda: read_zones(self._zones))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.close()

    def read(self) -> list[Reading]:
        """What is known now."""
        return [reading for read in self._readers for reading in read()]


def read_zones(folder: Path) -> list[Reading]:
    """Temperatures of the kernel's thermal zones; one that is switched off or gives nonsense is left out."""
    found = (_of_zone(zone) for zone in sorted(folder.glob("thermal_zone*")))
    return [reading for reading in found if reading and _COLDEST < reading.value < _HOTTEST]


def _of_zone(zone: Path) -> Reading | None:
    try:
        name = (zone / "type").read_text().strip()
        # Several zones may have one name; millidegrees.
        value = int((zone / "temp").read_text()) / 1000.0
    except (OSError, ValueError):
        return None
    return Reading("temperature", "thermal", f"{name} ({zone.name})", value)


def parse_tegrastats(line: str) -> list[Reading]:
    """What one line of `tegrastats` says of temperatures and power."""
    found = [
        Reading("temperature", "tegrastats", name, float(value))
        for name, value in _TEMPERATURE.findall(line)
        if _COLDEST < float(value) < _HOTTEST
    ]
    return found + [
        Reading("power", "tegrastats", name, int(value) / 1000.0)
        for name, value in _POWER.findall(line)
        if name != _NOT_CONNECTED
    ]


class Tegrastats:
    """Keeps the last line of a running `tegrastats`; it ends with the `with` block.

    Args:
        command: program and arguments.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._line = ""

    def __enter__(self) -> Tegrastats:
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._thread = threading.Thread(target=self._listen, name="tegrastats", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._thread.join(_END_S)

    def read(self) -> list[Reading]:
        """Of the last line; nothing before the first one, nor after the program has ended."""
        return parse_tegrastats(self._line)

    def _listen(self) -> None:
        output = self._process.stdout
        if output is None:
            raise ValueError("a process that was started with a pipe has one")
        with output:
            for line in output:
                self._line = line
        # Of a program that has died nothing is known any more.
        self._line = ""


def open_nvml(stack: ExitStack) -> Callable[[], list[Reading]] | None:
    """What reads temperature and power of NVIDIA GPUs; None without the package, the driver or a GPU."""
    try:
        import pynvml
    except ImportError:
        return None
    nvml: Any = pynvml
    try:
        nvml.nvmlInit()
        stack.callback(nvml.nvmlShutdown)
        gpus = [nvml.nvmlDeviceGetHandleByIndex(number) for number in range(nvml.nvmlDeviceGetCount())]
    except nvml.NVMLError:
        return None
    return lambda: [reading for number, gpu in enumerate(gpus) for reading in _of_gpu(nvml, number, gpu)]


def _of_gpu(nvml: Any, number: int, gpu: Any) -> list[Reading]:
    """What a GPU says of itself: not every one has a meter."""
    asked: tuple[tuple[str, float, Callable[[], int]], ...] = (
        ("temperature", 1.0, lambda: nvml.nvmlDeviceGetTemperature(gpu, nvml.NVML_TEMPERATURE_GPU)),
        ("power", 1000.0, lambda: nvml.nvmlDeviceGetPowerUsage(gpu)),
    )
    found = []
    for kind, per_unit, ask in asked:
        with contextlib.suppress(nvml.NVMLError):
            found.append(Reading(kind, "nvml", f"gpu{number}", ask() / per_unit))
    return found
