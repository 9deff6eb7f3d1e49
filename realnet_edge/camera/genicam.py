"""Industrial cameras (GigE Vision, USB3 Vision and others) through GenICam, with harvesters.

Who makes the camera, or its interface, gives the GenTL producer, a library named *.cti that talks to it.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Event
from typing import Any

from realnet_edge.camera.pixels import PREFERRED, is_read, rgb_of
from realnet_edge.camera.streams import Picture, StreamLostError
from realnet_edge.errors import ConfigError, DataError

# Where the GenTL standard has producers look for each other.
PRODUCERS = "GENICAM_GENTL64_PATH"
# How long one wait for a buffer takes before it is looked whether to stop.
_SLICE_S = 0.2
_EVENT_MS = 20


class GenICamCamera:
    """A camera that a GenTL producer finds, set up as it is.

    One whose own TriggerMode is On sends when it is triggered, and is not lost while it is not.

    Args:
        which: its serial number, id or user-defined name; or its place in the list of those found, from 0.
            The camera that a place has named first is the one that is connected to again.
        timeout_s: how long to wait for each picture.
        producer: the library; without it those in the folders of GENICAM_GENTL64_PATH.

    Raises:
        ConfigError: no such library, or none in those folders.
    """

    def __init__(self, which: str, timeout_s: float, producer: Path | None = None) -> None:
        import genicam.genapi
        import genicam.gentl
        import harvesters.core

        # Of its two libraries, of the operating system, and harvesters' own.
        self._failures: tuple[type[Exception], ...] = (
            genicam.gentl.GenericException,
            genicam.genapi.GenericException,
            OSError,
            ValueError,
            RuntimeError,
        )
        self._harvesters: Any = harvesters.core
        # What matters comes as an exception; the rest would fill a log for months.
        logging.getLogger(harvesters.core.__name__).setLevel(logging.CRITICAL)
        self._which = which
        self._timeout = timeout_s
        self._producers = [_checked(producer)] if producer else _producers_of_environment()
        self._stop = Event()

    def pictures(self) -> Iterator[Picture]:
        """See `Connect`."""
        with ExitStack() as opened, self._told_as_lost():
            acquirer = self._open(opened)
            nodes = acquirer.remote_device.node_map
            waited_since = time.monotonic()
            while not self._stop.is_set():
                buffer = acquirer.try_fetch(timeout=_SLICE_S)
                if buffer is not None:
                    with buffer:
                        picture = _picture(buffer)
                    yield picture
                    waited_since = time.monotonic()
                elif time.monotonic() - waited_since > self._timeout:
                    if not waits_for_trigger(nodes):
                        raise StreamLostError(f"no picture for {self._timeout:g} s")
                    # Asked of the camera itself: one that is gone does not answer.
                    nodes.Width.get_value(False, True)
                    waited_since = time.monotonic()

    def interrupt(self) -> None:
        self._stop.set()

    def _open(self, opened: ExitStack) -> Any:
        """The camera, sending.

        Raises:
            StreamLostError: it is not there.
        """
        harvester = self._harvesters.Harvester()
        opened.callback(self._left, harvester.reset)
        for producer in self._producers:
            harvester.add_file(str(producer), check_validity=True)
        harvester.update()
        acquirer = harvester.create(self._found(harvester.device_info_list))
        opened.callback(self._left, acquirer.destroy)
        acquirer.timeout_period_on_update_event_data_call = _EVENT_MS
        _choose_format(acquirer.remote_device.node_map)
        acquirer.start()
        return acquirer

    def _found(self, devices: list[Any]) -> Any:
        for device in devices:
            if self._which in self._names(device):
                return device
        if self._which.isdecimal() and int(self._which) < len(devices):
            device = devices[int(self._which)]
            # The next time fewer may be there, and this place be another camera's.
            self._which = device.id_
            return device
        there = ", ".join(device.display_name for device in devices) or "none"
        raise StreamLostError(f"no camera {self._which}; found: {there}")

    def _names(self, device: Any) -> list[str]:
        found = []
        for name in ("serial_number", "id_", "user_defined_name"):
            with suppress(*self._failures):
                found.append(getattr(device, name))
        return found

    @contextmanager
    def _told_as_lost(self) -> Iterator[None]:
        try:
            yield
        except self._failures as error:
            raise StreamLostError(str(error) or type(error).__name__) from None

    def _left(self, leave: Any) -> None:
        """A camera that is gone cannot be taken leave of."""
        with suppress(*self._failures):
            leave()


def waits_for_trigger(nodes: Any) -> bool:
    """Whether a camera sends a picture only when it is triggered, going by its features."""
    if not nodes.has_node("TriggerMode"):
        return False
    if nodes.has_node("TriggerSelector") and "FrameStart" in nodes.TriggerSelector.symbolics:
        nodes.TriggerSelector.value = "FrameStart"
    return bool(nodes.TriggerMode.value == "On")


def _picture(buffer: Any) -> Picture:
    started = time.perf_counter()
    components = [part for part in buffer.payload.components if part is not None]
    image, error = None, None
    if not components:
        error = "carries no picture"
    else:
        first = components[0]
        try:
            image = rgb_of(first.data, first.data_format, first.width, first.height)
        except DataError as problem:
            error = str(problem)
    return Picture(image, error, (time.perf_counter() - started) * 1e3)


def _choose_format(nodes: Any) -> None:
    """Leave a format that is read as it is; else take the best one of those that are."""
    if not nodes.has_node("PixelFormat"):
        return
    offered = nodes.PixelFormat.symbolics
    if nodes.PixelFormat.value in offered and is_read(nodes.PixelFormat.value):
        return
    if better := [name for name in PREFERRED if name in offered]:
        nodes.PixelFormat.value = better[0]


def _checked(producer: Path) -> Path:
    if not producer.is_file():
        raise ConfigError(f"{producer}: no such GenTL producer; it is a file of the camera's maker, *.cti.")
    return producer


def _producers_of_environment() -> list[Path]:
    folders = [folder for folder in os.environ.get(PRODUCERS, "").split(os.pathsep) if folder]
    found = [path for folder in folders for path in sorted(Path(folder).glob("*.cti"))]
    if not found:
        where = os.pathsep.join(folders) or "which is not set"
        raise ConfigError(
            f"no GenTL producer (*.cti) in {PRODUCERS} ({where}): install the camera maker's software, or "
            "give its file with --genicam-producer."
        )
    return found
