"""Results of `run` that are sent: to a broker, to a webhook."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from realnet_edge.cli.output import say
from realnet_edge.cli.written import say_made
from realnet_edge.errors import ConfigError

if TYPE_CHECKING:
    from realnet_edge.camera.alarms import Alarm
    from realnet_edge.camera.board import Board
    from realnet_edge.camera.delivery import Delivery, Destination
    from realnet_edge.camera.outbox import Outbox

SECRET = "REALNET_EDGE_WEBHOOK_SECRET"  # noqa: S105  # the variable's name
_DISCOVERY = "homeassistant"

OPTIONS = (
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
        "--mqtt-discovery",
        is_flag=False,
        flag_value=_DISCOVERY,
        metavar="[PREFIX]",
        help="Announce verdict, score and counters to Home Assistant, under this prefix of topics.  "
        f"[{_DISCOVERY} if none is given]",
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
class SentOptions:
    """What the options ask for; the fields are theirs."""

    mqtt: str | None
    mqtt_ca: Path | None
    mqtt_discovery: str | None
    webhook: str | None
    outbox: Path | None


@dataclass(frozen=True)
class OpenSent:
    """What takes results to be sent.

    Attributes:
        sinks: to be called with each result.
        waiting: gives how many results wait for each destination, by its name.
    """

    sinks: list[Outbox]
    waiting: Callable[[], dict[str, int]]


def open_sent(
    stack: ExitStack,
    options: SentOptions,
    category: str,
    board: Board,
    on_alarm: Alarm,
    on_delivery: Callable[[str, str | None], None],
    ending: list[Callable[[], None]],
) -> OpenSent:
    """The outbox and those who empty it; closed with the stack.

    Args:
        board: how it stands with each camera, for those who want the newest alone.
        on_alarm: hears of a failing disk, and of results that a destination does not want.
        on_delivery: hears why a destination cannot be reached, and with None that it is again.
        ending: gets what is to be called before the stack closes.

    Raises:
        ConfigError: options that contradict each other, or cannot be met.
    """
    for name, given in (("--mqtt-ca", options.mqtt_ca), ("--mqtt-discovery", options.mqtt_discovery)):
        if given and not options.mqtt:
            raise ConfigError(f"{name} is for a broker: add --mqtt.")
    destinations = _destinations(options, category, board)
    if not destinations:
        if options.outbox:
            raise ConfigError("--outbox is for sent results: add --mqtt or --webhook.")
        _refuse_to_forget(_default(category))
        return OpenSent([], dict)
    path = options.outbox or _default(category)
    outbox = _open_outbox(stack, path, destinations, on_alarm, on_delivery, ending)
    return OpenSent([outbox], lambda: {one.name: outbox.waiting(one.name) for one in destinations})


def _default(category: str) -> Path:
    return Path(f"{category}-outbox.db")


def _refuse_to_forget(path: Path) -> None:
    """Nobody runs a line that delivers to no one, and leaves unsaid that results wait.

    Raises:
        ConfigError: they do.
    """
    from realnet_edge.camera.outbox import waiting_in

    for name, count in waiting_in(path).items():
        raise ConfigError(
            f"{path}: {count} results wait for {name}, to which this run does not deliver. Name it as well, "
            "or move the file away if nobody needs them."
        )


def _open_outbox(
    stack: ExitStack,
    path: Path,
    destinations: list[Destination],
    on_alarm: Alarm,
    on_delivery: Callable[[str, str | None], None],
    ending: list[Callable[[], None]],
) -> Outbox:
    from realnet_edge.camera.delivery import Delivery
    from realnet_edge.camera.outbox import Outbox

    say_made("--outbox", path.parent)
    names = [destination.name for destination in destinations]
    outbox = stack.enter_context(Outbox(path, names, on_alarm=on_alarm))

    def tell(name: str, reason: str | None) -> None:
        say(f"{name}: {'reached again' if reason is None else reason}")
        on_delivery(name, reason)

    def refuse(name: str, reason: str) -> None:
        on_alarm(f"{name}: {reason}")

    deliveries = [Delivery(outbox, destination, tell, refuse) for destination in destinations]
    # Left last, when nothing is under way any more and before the outbox closes.
    stack.callback(_say_deliveries, outbox, deliveries)
    for delivery in deliveries:
        stack.enter_context(delivery)
        ending.append(delivery.leave)
    return outbox


def _destinations(options: SentOptions, category: str, board: Board) -> list[Destination]:
    from realnet_edge.camera.addresses import filled_in, refuse_password
    from realnet_edge.camera.mqtt import Mqtt
    from realnet_edge.camera.webhook import Webhook

    found: list[Destination] = []
    if options.mqtt:
        refuse_password(options.mqtt, "--mqtt")
        address = filled_in(options.mqtt, "--mqtt")
        found.append(Mqtt(address, category, options.mqtt_ca, board=board, discovery=options.mqtt_discovery))
    if options.webhook:
        if not options.webhook.lower().startswith(("http://", "https://")):
            raise ConfigError(f"--webhook {options.webhook}: valid is an address with http:// or https://.")
        refuse_password(options.webhook, "--webhook")
        found.append(Webhook(filled_in(options.webhook, "--webhook"), os.environ.get(SECRET)))
    return found


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
