"""Where the results of `run` go: lines, overlays, and those who get every result."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from realnet_edge.cli.options import adding
from realnet_edge.cli.output import say
from realnet_edge.errors import ConfigError, DataError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from realnet_edge.bundle import Bundle
    from realnet_edge.camera import Camera, Inspection
    from realnet_edge.camera.delivery import Delivery, Destination
    from realnet_edge.camera.outbox import Outbox

Sink = Callable[["Inspection"], None]
SECRET = "REALNET_EDGE_WEBHOOK_SECRET"  # noqa: S105  # the variable's name

_OPTIONS = (
    click.option(
        "--out",
        type=click.Path(dir_okay=False, path_type=Path),
        help="Append a JSON line a frame to this file; without it they go to standard output.",
    ),
    click.option(
        "--save",
        type=click.Path(path_type=Path),
        help="Write overlays of the defects into this folder, or all frames into this .mp4 or .avi.",
    ),
    click.option("--save-all", is_flag=True, help="With --save FOLDER: overlays of good frames, too."),
    click.option(
        "--mqtt",
        metavar="ADDRESS",
        help="Publish each result at this broker, mqtt://HOST or mqtts://USER:${VARIABLE}@HOST:PORT/PREFIX, "
        "as PREFIX/CATEGORY/result; PREFIX is realnet-edge if there is none.",
    ),
    click.option(
        "--mqtt-ca",
        type=click.Path(dir_okay=False, path_type=Path),
        help="Certificates that the broker's has to be signed by; else the system's.",
    ),
    click.option(
        "--webhook",
        metavar="URL",
        help=f"POST each result there, signed with the secret in {SECRET} if that is set.",
    ),
    click.option(
        "--outbox",
        type=click.Path(dir_okay=False, path_type=Path),
        help="File where results wait for the broker and the webhook until these have them.  "
        "[default: CATEGORY-outbox.db]",
    ),
)


@dataclass(frozen=True)
class Outputs:
    """What the options ask for; the fields are theirs."""

    out: Path | None
    save: Path | None
    save_all: bool
    mqtt: str | None
    mqtt_ca: Path | None
    webhook: str | None
    outbox: Path | None


# Those that `Outputs` holds.
output_options = adding(_OPTIONS)


@dataclass(frozen=True)
class OpenOutputs:
    """Outputs that take results.

    Attributes:
        sinks: to be called with each result.
        waiting: gives how many results wait for each destination, by its name.
    """

    sinks: list[Sink]
    waiting: Callable[[], dict[str, int]]


def open_outputs(
    stack: ExitStack,
    outputs: Outputs,
    cameras: Sequence[Camera],
    bundle: Bundle,
    lines: list[dict[str, Any]] | None,
) -> OpenOutputs:
    """Open everything that gets results; closed with the stack.

    Args:
        stack: closes what is opened here.
        outputs: what is asked for.
        cameras: the only one gives a video its frames a second.
        bundle: gives topics and files their category.
        lines: takes the lines where neither a file nor standard output does.

    Raises:
        ConfigError: options that contradict each other, or cannot be met.
    """
    sinks = [*_pictures(stack, outputs, cameras), _lines(stack, outputs.out, lines)]
    destinations = _destinations(outputs, bundle.manifest.category)
    if not destinations:
        if outputs.outbox or outputs.mqtt_ca:
            raise ConfigError("--outbox and --mqtt-ca are for sent results: add --mqtt or --webhook.")
        return OpenOutputs(sinks, dict)
    path = outputs.outbox or Path(f"{bundle.manifest.category}-outbox.db")
    outbox = _open_outbox(stack, path, destinations)
    return OpenOutputs([*sinks, outbox], lambda: {one.name: outbox.waiting(one.name) for one in destinations})


def _pictures(stack: ExitStack, outputs: Outputs, cameras: Sequence[Camera]) -> list[Sink]:
    from realnet_edge.camera import VIDEO_SUFFIXES, OverlayFolder, OverlayVideo

    save = outputs.save
    if save is not None and save.suffix.lower() in VIDEO_SUFFIXES:
        if len(cameras) > 1:
            raise ConfigError(f"--save {save}: a video is of one camera; give a folder for several.")
        return [stack.enter_context(OverlayVideo(save, _annotate, cameras[0].source.fps))]
    if save is not None:
        return [OverlayFolder(save, _annotate, outputs.save_all)]
    if outputs.save_all:
        raise ConfigError("--save-all says what to save, not where: add --save FOLDER.")
    return []


def _lines(stack: ExitStack, out: Path | None, lines: list[dict[str, Any]] | None) -> Sink:
    from realnet_edge.camera import ResultLog

    if out is not None:
        log = stack.enter_context(ResultLog(out))
        if log.appends:
            say(f"{out} has lines of an earlier run; new ones are appended.")
        return log
    if lines is not None:
        return lambda inspection: lines.append(inspection.to_dict())
    return _print_line


def _open_outbox(stack: ExitStack, path: Path, destinations: list[Destination]) -> Outbox:
    from realnet_edge.camera.delivery import Delivery
    from realnet_edge.camera.outbox import Outbox

    outbox = stack.enter_context(Outbox(path, [destination.name for destination in destinations]))
    deliveries = [Delivery(outbox, destination, _say_trouble) for destination in destinations]
    # Left last, when nothing is under way any more and before the outbox closes.
    stack.callback(_say_deliveries, outbox, deliveries)
    for delivery in deliveries:
        stack.enter_context(delivery)
    return outbox


def _destinations(outputs: Outputs, category: str) -> list[Destination]:
    from realnet_edge.camera.addresses import filled_in
    from realnet_edge.camera.mqtt import Mqtt
    from realnet_edge.camera.webhook import Webhook

    found: list[Destination] = []
    if outputs.mqtt:
        found.append(Mqtt(filled_in(outputs.mqtt, "--mqtt"), category, outputs.mqtt_ca))
    if outputs.webhook:
        if not outputs.webhook.lower().startswith(("http://", "https://")):
            raise ConfigError(f"--webhook {outputs.webhook}: valid is an address with http:// or https://.")
        found.append(Webhook(filled_in(outputs.webhook, "--webhook"), os.environ.get(SECRET)))
    return found


def _say_trouble(name: str, reason: str | None) -> None:
    say(f"{name}: {'reached again' if reason is None else reason}")


def _say_deliveries(outbox: Outbox, deliveries: list[Delivery]) -> None:
    for delivery in deliveries:
        text = f"{delivery.name}: {delivery.sent} results delivered"
        if delivery.refused:
            text += f", {delivery.refused} refused"
        if waiting := outbox.waiting(delivery.name):
            text += f", {waiting} wait in {outbox.path} for the next run"
        say(text)
    if outbox.given_up:
        say(f"Warning: {outbox.given_up} results were given up: more waited than the outbox holds.")


def _annotate(inspection: Inspection) -> npt.NDArray[np.uint8]:
    from realnet_edge.report.overlay import overlay

    image, anomaly_map = inspection.frame.image, inspection.anomaly_map
    if image is None or anomaly_map is None:
        raise DataError(f"frame {inspection.frame.id} was not inspected, so there is nothing to draw.")
    return overlay(
        image, anomaly_map, label=inspection.frame.id, threshold=inspection.threshold, score=inspection.score
    )


def _print_line(inspection: Inspection) -> None:
    from realnet_edge.camera import json_line

    sys.stdout.write(json_line(inspection))
    sys.stdout.flush()
