"""A plant's systems beside `run`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from plant_peers import UNIT, ModbusDevice
from waiting_peers import free_port

from realnet_edge.cli.main import cli


@pytest.fixture
def run(bundle: Path, parts: Path) -> Callable[..., Result]:
    def call(*arguments: object) -> Result:
        fixed = ["run", "--bundle", bundle, "--source", parts]
        return CliRunner().invoke(cli, [*map(str, [*fixed, *arguments])])

    return call


def test_a_gate_moves_for_each_part(run: Callable[..., Result]) -> None:
    device = ModbusDevice(free_port())
    address = f"modbus://127.0.0.1:{device.port}/{UNIT}/5"
    done = run("--modbus", address, "--reject-age", 60_000)
    device.close()
    assert done.exit_code == 0, done.stderr
    # Parts 2 and 6 are defects, nobody could see part 10; before and behind them the coil is safe.
    assert device.writes == [True, *(index in (2, 6, 10) for index in range(11)), True]
    assert f"{address}: 11 decisions carried out" in done.stderr


def test_each_camera_has_its_own_gate(bundle: Path, parts: Path) -> None:
    gates = {name: ModbusDevice(free_port()) for name in ("left", "right")}
    arguments = ["run", "--bundle", bundle, "--reject-age", 60_000]
    for name, device in gates.items():
        images = parts if name == "left" else parts / "part2.png"
        arguments += ["--source", f"{name}={images}"]
        arguments += ["--modbus", f"{name}=modbus://127.0.0.1:{device.port}/{UNIT}/5"]
    done = CliRunner().invoke(cli, [*map(str, arguments)])
    one_for_both = CliRunner().invoke(cli, [*map(str, arguments[:-2]), "--modbus", "modbus://127.0.0.1/1/0"])
    for device in gates.values():
        device.close()
    assert done.exit_code == 0, done.stderr
    assert gates["left"].writes == [True, *(index in (2, 6, 10) for index in range(11)), True]
    assert gates["right"].writes == [True, True, True]
    assert one_for_both.exit_code == 2


def test_a_gate_that_is_away_is_an_alarm_and_stops_nothing(run: Callable[..., Result]) -> None:
    address = f"modbus://127.0.0.1:{free_port()}/1/0"
    done = run("--modbus", address, "--opcua", f"opc.tcp://127.0.0.1:{free_port()}")
    assert done.exit_code == 0, done.stderr
    assert f"Alarm: {address}: cannot be reached" in done.stderr
    assert f"{address}: 0 decisions carried out, 11 came too late or were not taken" in done.stderr
    assert "OPC UA: opc.tcp://127.0.0.1:" in done.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--modbus", "host"], "valid is"),
        (
            ["--modbus", "left=modbus://host/1/0"],
            "a gate needs to know whose it is; valid is modbus://host/1/0",
        ),
        (["--modbus", "modbus://h/1/0", "--modbus", "modbus://h/1/1"], "one coil for each camera"),
        (["--reject", "defects"], "add --modbus ADDRESS"),
        (["--reject-pulse", "50"], "add --modbus ADDRESS"),
        (["--opcua-key", "key.pem"], "add --opcua"),
        (["--opcua", "opc.tcp://0.0.0.0:4840"], "others reach this address"),
        (["--opcua", "opc.tcp://user:${NOT_SET}@0.0.0.0"], "--opcua asks for ${NOT_SET}"),
        (["--opcua", "opc.tcp://127.0.0.1", "--opcua-cert", "c.pem"], "a certificate needs its key"),
        (
            ["--opcua", "opc.tcp://u:${PLC_PASSWORD}@127.0.0.1", "--opcua-cert", "c", "--opcua-key", "k"],
            "c: no such file",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(
    run: Callable[..., Result], options: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLC_PASSWORD", "p")
    done = run(*options)
    assert done.exit_code == 2
    assert message in done.stderr
