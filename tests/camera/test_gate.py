"""A reject gate on pymodbus' own server."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

import pytest
from plant_peers import UNIT, ModbusDevice, inspection
from waiting_peers import free_port, wait

from realnet_edge.camera.backoff import Backoff
from realnet_edge.camera.gate import Coil, GateRules, RejectGate
from realnet_edge.errors import ConfigError

# No machine is so busy that what is given now is carried out later.
_AGE_S = 30.0
_RULES = GateRules(age_s=_AGE_S)


@pytest.fixture
def device() -> Iterator[ModbusDevice]:
    device = ModbusDevice(free_port())
    yield device
    device.close()


def gate_at(
    port: int, alarms: list[str], rules: GateRules = _RULES, coil: int = 5, **more: object
) -> RejectGate:
    backoff = Backoff(0.05, 0.1)
    return RejectGate(Coil("127.0.0.1", port, UNIT, coil), rules, alarms.append, backoff=backoff, **more)  # type: ignore[arg-type]  # passed through


def test_each_part_moves_the_coil_in_order_and_the_end_rejects(device: ModbusDevice) -> None:
    alarms: list[str] = []
    with gate_at(device.port, alarms) as gate:
        for index, verdict in enumerate(["good", "defect", "good", "not_inspected", "good"]):
            gate(inspection(index, verdict))
        wait(lambda: gate.done == 5)
    # First the safe state, then each part's, and the safe one again: what passes now, nobody has seen.
    assert device.writes == [True, False, True, False, True, False, True]
    assert (gate.failed, alarms) == (0, [])


def test_rejecting_defects_only_lets_pass_what_nobody_saw(device: ModbusDevice) -> None:
    with gate_at(device.port, [], GateRules(not_inspected=False, age_s=_AGE_S)) as gate:
        for index, verdict in enumerate(["defect", "not_inspected"]):
            gate(inspection(index, verdict))
        wait(lambda: gate.done == 2)
    assert device.writes == [False, True, False, False]


def test_a_pulse_ends_by_itself_and_a_good_part_does_not_cut_it_short(device: ModbusDevice) -> None:
    with gate_at(device.port, [], GateRules(pulse_s=0.3, age_s=_AGE_S)) as gate:
        gate(inspection(0, "defect"))
        gate(inspection(1))
        wait(lambda: gate.done == 2)
        assert device.writes == [False, True]
        wait(lambda: device.writes == [False, True, False])
    assert device.writes == [False, True, False, False]


@pytest.mark.parametrize(("pulse_s", "expected"), [(None, [True, False, True, False]), (0.2, [False])])
def test_a_late_decision_never_moves_the_gate_as_if_it_were_new(
    device: ModbusDevice, pulse_s: float | None, expected: list[bool]
) -> None:
    """Without pulses the coil takes its safe state: of what stands before the gate nothing is known."""
    alarms: list[str] = []
    with gate_at(device.port, alarms, GateRules(pulse_s=pulse_s, age_s=_AGE_S)) as gate:
        gate(inspection(0))
        wait(lambda: gate.done == 1)
        gate(inspection(1, "defect", age_s=2 * _AGE_S))
        gate(inspection(2, age_s=2 * _AGE_S))
        wait(lambda: gate.failed == 2)
        gate(inspection(3))
        wait(lambda: gate.done == 2)
        assert [value for value, _ in groupby(device.writes)] == expected
    assert alarms == [
        f"{gate.name}: decisions are more than 30 s old; the gate is not moved for parts gone by",
        f"{gate.name}: decisions come in time again",
    ]


def test_a_device_that_goes_away_is_one_alarm_and_is_found_again() -> None:
    alarms: list[str] = []
    port = free_port()
    with gate_at(port, alarms) as gate:
        gate(inspection(0, "defect", age_s=_AGE_S - 0.3))
        wait(lambda: gate.failed == 1)
        assert alarms == [f"{gate.name}: cannot be reached"]
        device = ModbusDevice(port)
        wait(lambda: device.writes == [True])
        gate(inspection(1))
        wait(lambda: gate.done == 1)
        device.close()
        for index in range(2, 6):
            gate(inspection(index, "defect", age_s=_AGE_S - 0.3))
        wait(lambda: gate.failed == 5)
        device = ModbusDevice(port)
        # The decisions of the meantime are of parts that have gone by: the coil gets its safe state alone.
        wait(lambda: device.writes == [True])
        gate(inspection(6))
        wait(lambda: gate.done == 2)
    assert device.writes == [True, False, True]
    assert [text.partition(": ")[2].partition(" (")[0] for text in alarms] == [
        *("cannot be reached", "works again"),
        *("does not answer", "works again"),
    ]
    device.close()


def test_while_nothing_is_inspected_the_coil_is_safe(device: ModbusDevice) -> None:
    idle: list[str | None] = [None]
    with gate_at(device.port, [], idle=lambda: idle[0]) as gate:
        gate(inspection(0))
        wait(lambda: gate.done == 1)
        idle[0] = "camera waiting"
        wait(lambda: device.writes == [True, False, True])
        idle[0] = None
        gate(inspection(1))
        wait(lambda: gate.done == 2)
        assert device.writes == [True, False, True, False]


def test_a_coil_that_is_not_there_is_an_alarm(device: ModbusDevice) -> None:
    alarms: list[str] = []
    with gate_at(device.port, alarms, coil=99) as gate:
        wait(lambda: bool(alarms))
        gate(inspection(0))
    assert "refuses the coil" in alarms[0]
    assert gate.failed == 1


def test_a_device_that_is_away_holds_up_neither_the_line_nor_the_end() -> None:
    with gate_at(free_port(), []) as gate:
        for index in range(3000):
            gate(inspection(index))
    assert not gate._thread.is_alive()
    assert gate.done == 0
    assert gate.failed == 3000


@pytest.mark.parametrize(
    "text",
    [
        *("modbus://host", "modbus://host/1", "modbus://host/1/x", "modbus:///1/0", "modbus://host:x/1/0"),
        *("tcp://host/1/0", "modbus://host/256/0", "modbus://host/1/65536", "modbus://host/1/0/0", "host"),
    ],
)
def test_what_is_no_coil_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is no coil: valid is modbus://HOST:PORT/UNIT/COIL"):
        Coil.parse(text)


def test_a_coils_address_is_taken_apart() -> None:
    assert Coil.parse("modbus://10.0.0.5/1/0") == Coil("10.0.0.5", 502, 1, 0)
    assert str(Coil.parse("modbus://gate:1502/0/65535")) == "modbus://gate:1502/0/65535"
