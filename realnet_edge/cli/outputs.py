"""Where the results of `run` go: the disk, those who get every result, a plant's own systems."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from realnet_edge.cli import plant, sent, written
from realnet_edge.cli.options import adding
from realnet_edge.cli.output import say

if TYPE_CHECKING:
    from realnet_edge.bundle import Bundle
    from realnet_edge.camera import Camera, CameraState, Inspection
    from realnet_edge.camera.board import CameraFacts
    from realnet_edge.monitor import LineState

Sink = Callable[["Inspection"], None]


@dataclass(frozen=True)
class Outputs(plant.PlantOptions, sent.SentOptions, written.WrittenOptions):
    """What the options ask for; the fields are theirs."""


# Those that `Outputs` holds.
output_options = adding((*written.OPTIONS, *sent.OPTIONS, *plant.OPTIONS))


def open_outputs(
    stack: ExitStack,
    outputs: Outputs,
    cameras: Sequence[Camera],
    bundle: Bundle,
    lines: list[dict[str, Any]] | None,
    state: LineState,
) -> list[Sink]:
    """Open everything that gets results; closed with the stack.

    Args:
        stack: closes what is opened here.
        outputs: what is asked for.
        cameras: the only one gives a video its frames a second. Where one never ends, a disk that fails is
            an alarm; where all can be read again, it is an error.
        bundle: gives topics and files their category.
        lines: takes the lines where neither a file nor standard output does.
        state: hears of alarms, and of what waits for delivery; says how it stands with the cameras.

    Returns:
        Sinks, to be called with each result in their order.

    Raises:
        ConfigError: options that contradict each other, or cannot be met.
    """
    from realnet_edge.camera.board import Board

    def on_alarm(text: str) -> None:
        say(f"Alarm: {text}")
        state.on_alarm(text)

    category = bundle.manifest.category
    ending: list[Callable[[], None]] = []
    endless = any(camera.source.endless for camera in cameras)
    board = Board([camera.name for camera in cameras], lambda: _facts(state, cameras))
    on_disk = written.open_written(stack, outputs, cameras, lines, on_alarm if endless else None, ending)
    sending = sent.open_sent(stack, outputs, category, board, on_alarm, state.on_delivery, ending)
    state.waiting = sending.waiting
    for_plant = plant.open_plant(stack, outputs, category, board, on_alarm, ending)
    # Those who take their time to end are told all at once, and then waited for one after the other.
    stack.callback(_end, ending)
    # A gate is to move before anything is written.
    return [board, *for_plant, *on_disk, *sending.sinks]


def _end(ending: list[Callable[[], None]]) -> None:
    for leave in ending:
        leave()


def _facts(state: LineState, cameras: Sequence[Camera]) -> dict[str | None, CameraFacts]:
    from realnet_edge.camera.board import CameraFacts

    states = state.cameras()
    # Where all cameras give pictures, what is missing is whoever announces parts.
    missing = state.not_ready() if all(one.phase == "live" for one in states.values()) else None
    found = {}
    for camera in cameras:
        source = camera.source
        away = _away(states[camera.name]) or (missing if source.triggered else None)
        steady = (source.live and not source.triggered) or not source.endless
        found[camera.name] = CameraFacts(away, camera.dropped, steady)
    return found


def _away(state: CameraState) -> str | None:
    """Why a camera gives no pictures; None while it does."""
    if state.phase == "live":
        return None
    return f"camera {state.phase}" + (f": {state.reason}" if state.reason else "")
