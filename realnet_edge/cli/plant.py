"""What a plant's own systems get from `run`: an OPC UA server, a reject gate."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from realnet_edge.cli.output import say
from realnet_edge.errors import ConfigError

if TYPE_CHECKING:
    from realnet_edge.camera import Inspection
    from realnet_edge.camera.alarms import Alarm
    from realnet_edge.camera.board import Board
    from realnet_edge.camera.gate import Coil, RejectGate
    from realnet_edge.camera.opcua import OpcUaServer

Sink = Callable[["Inspection"], None]
_DEFECTS, _BOTH = "defects", "defects+not-inspected"

OPTIONS = (
    click.option(
        "--opcua",
        metavar="ADDRESS",
        help="Serve verdict, score, counters and state over OPC UA there: opc.tcp://127.0.0.1:4840, or "
        "opc.tcp://USER:${VARIABLE}@HOST:PORT for other machines.",
    ),
    click.option(
        "--opcua-cert",
        type=click.Path(dir_okay=False, path_type=Path),
        help="The server's certificate; else one is made for each run.",
    ),
    click.option(
        "--opcua-key", type=click.Path(dir_okay=False, path_type=Path), help="The certificate's key, in PEM."
    ),
    click.option(
        "--modbus",
        multiple=True,
        metavar="[CAMERA=]ADDRESS",
        help="Set this coil for a reject and clear it for a good part: modbus://HOST:PORT/UNIT/COIL; "
        "repeatable, one for each camera.",
    ),
    click.option(
        "--reject",
        type=click.Choice([_BOTH, _DEFECTS]),
        help=f"What the gate rejects.  [default: {_BOTH}]",
    ),
    click.option(
        "--reject-pulse",
        type=click.IntRange(1),
        metavar="MS",
        help="Set the coil for so long only; else it stays until the next part.",
    ),
    click.option(
        "--reject-age",
        type=click.IntRange(1),
        metavar="MS",
        help="The gate is not moved for a part seen longer ago.  [default: 1000]",
    ),
)


@dataclass(frozen=True)
class PlantOptions:
    """What the options ask for; the fields are theirs."""

    opcua: str | None
    opcua_cert: Path | None
    opcua_key: Path | None
    modbus: tuple[str, ...]
    reject: str | None
    reject_pulse: int | None
    reject_age: int | None


def open_plant(
    stack: ExitStack,
    options: PlantOptions,
    category: str,
    board: Board,
    on_alarm: Alarm,
    ending: list[Callable[[], None]],
) -> list[Sink]:
    """Sinks for a plant's systems, the gates first; closed with the stack.

    Args:
        board: how it stands with each camera; it must have each result before these sinks.
        ending: gets what is to be called before the stack closes.

    Raises:
        ConfigError: options that contradict each other, or cannot be met.
    """
    servers = list(_server(stack, options, category, board, on_alarm))
    gates = dict(_gates(stack, options, board, on_alarm))
    ending += [server.leave for server in servers]
    ending += [gate.leave for gate in gates.values()]
    return [*(partial(_of_camera, camera, gate) for camera, gate in gates.items()), *servers]


def _server(
    stack: ExitStack, options: PlantOptions, category: str, board: Board, on_alarm: Alarm
) -> Iterator[OpcUaServer]:
    from realnet_edge.camera.addresses import filled_in, refuse_password
    from realnet_edge.camera.opcua import OpcUaServer
    from realnet_edge.camera.opcua_access import Endpoint

    if options.opcua is None:
        if options.opcua_cert or options.opcua_key:
            raise ConfigError("--opcua-cert and --opcua-key are for a server: add --opcua.")
        return
    refuse_password(options.opcua, "--opcua")
    address = filled_in(options.opcua, "--opcua")
    endpoint = Endpoint.parse(address, options.opcua_cert, options.opcua_key)
    server = stack.enter_context(OpcUaServer(endpoint, category, board, on_alarm))
    say(f"OPC UA: {server.url}, in some seconds")
    if endpoint.user is not None and endpoint.certificate is None:
        say("OPC UA: the certificate is made for this run; clients that remember it need --opcua-cert.")
    yield server


def _gates(
    stack: ExitStack, options: PlantOptions, board: Board, on_alarm: Alarm
) -> Iterator[tuple[str | None, RejectGate]]:
    from realnet_edge.camera.gate import GateRules, RejectGate

    if not options.modbus:
        if options.reject or options.reject_pulse or options.reject_age:
            raise ConfigError(
                "--reject, --reject-pulse and --reject-age are for a gate: add --modbus ADDRESS."
            )
        return
    rules = GateRules(
        not_inspected=options.reject != _DEFECTS,
        pulse_s=None if options.reject_pulse is None else options.reject_pulse / 1e3,
        age_s=(options.reject_age or 1000) / 1e3,
    )
    for camera, coil in _coils(options.modbus, board.cameras).items():
        gate = RejectGate(coil, rules, on_alarm, partial(_idle, board, camera))
        # Left last, when nothing moves any more.
        stack.callback(_say_gate, gate)
        yield camera, stack.enter_context(gate)


def _coils(given: Sequence[str], cameras: Sequence[str | None]) -> dict[str | None, Coil]:
    """The coil of each camera that has one.

    Raises:
        ConfigError: an address that is none, a camera that is not there, or several coils for one.
    """
    from realnet_edge.camera.gate import Coil

    found: dict[str | None, Coil] = {}
    for text in given:
        before, named_so, after = text.partition("=")
        name, address = (before, after) if named_so and "/" not in before else (None, text)
        coil = Coil.parse(address)
        if name not in cameras:
            named = ", ".join(f"{camera}={address}" for camera in cameras if camera) or address
            raise ConfigError(f"--modbus {text}: a gate needs to know whose it is; valid is {named}.")
        if name in found:
            raise ConfigError(
                f"--modbus {text}: one coil for each camera, and {found[name]} is there already."
            )
        found[name] = coil
    return found


def _of_camera(camera: str | None, gate: RejectGate, inspection: Inspection) -> None:
    if inspection.frame.camera == camera:
        gate(inspection)


def _idle(board: Board, camera: str | None) -> str | None:
    return board.standing(camera).idle


def _say_gate(gate: RejectGate) -> None:
    text = f"{gate.name}: {gate.done} decisions carried out"
    say(f"{text}, {gate.failed} came too late or were not taken" if gate.failed else text)
