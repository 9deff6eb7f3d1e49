"""Temperatures and power: what is there is read, and nothing else."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

import pytest
from asking import ask
from prometheus_client.parser import text_string_to_metric_families

from realnet_edge.monitor import LineState, MonitorServer
from realnet_edge.monitor.device import Device, Reading, parse_tegrastats, read_zones

# As an AGX Orin under JetPack 5 and an Orin Nano under JetPack 6 write them.
JETPACK_5 = (
    "11-26-2026 10:12:44 RAM 3347/30536MB (lfb 5x4MB) SWAP 0/15268MB (cached 0MB) CPU "
    "[1%@729,0%@729,0%@729,0%@729,off,off,off,off] EMC_FREQ 0%@2133 GR3D_FREQ 0%@[305,305] VIC_FREQ 729 "
    "APE 174 CV0@-256C CPU@49.656C SOC2@46.093C GPU@-256C tj@49.656C CV2@-256C VDD_GPU_SOC 2795mW/2795mW "
    "VDD_CPU_CV 798mW/801mW VIN_SYS_5V0 3937mW/3937mW NC 0mW/0mW VDDQ_VDD2_1V8AO 499mW/499mW\n"
)
JETPACK_6 = (
    "11-26-2026 10:12:44 RAM 2448/7620MB (lfb 2x1MB) SWAP 0/3810MB (cached 0MB) CPU "
    "[2%@1510,0%@1510,0%@1510,0%@1510,0%@729,0%@729] EMC_FREQ 0%@2133 GR3D_FREQ 0%@[306] NVDEC off NVJPG off "
    "VIC off OFA off APE 200 cpu@46.437C soc2@45.5C gpu@46C tj@47.125C VDD_IN 4585mW/4590mW "
    "VDD_CPU_GPU_CV 524mW/524mW VDD_SOC 1452mW/1452mW\n"
)


def values(readings: list[Reading], kind: str) -> dict[str, float]:
    return {one.sensor: one.value for one in readings if one.kind == kind}


def test_lines_of_jetpack_5_are_read() -> None:
    found = parse_tegrastats(JETPACK_5)
    # What is switched off says -256 C.
    assert values(found, "temperature") == {"CPU": 49.656, "SOC2": 46.093, "tj": 49.656}
    assert values(found, "power") == {
        "VDD_GPU_SOC": 2.795,
        "VDD_CPU_CV": 0.798,
        "VIN_SYS_5V0": 3.937,
        "VDDQ_VDD2_1V8AO": 0.499,
    }


def test_lines_of_jetpack_6_are_read() -> None:
    found = parse_tegrastats(JETPACK_6)
    assert values(found, "temperature") == {"cpu": 46.437, "soc2": 45.5, "gpu": 46.0, "tj": 47.125}
    assert values(found, "power") == {"VDD_IN": 4.585, "VDD_CPU_GPU_CV": 0.524, "VDD_SOC": 1.452}


@pytest.mark.parametrize("line", ["", "\n", "tegrastats: not found", "RAM 1/2MB CPU [1%@729]"])
def test_other_lines_say_nothing(line: str) -> None:
    assert parse_tegrastats(line) == []


@pytest.fixture
def zones(tmp_path: Path) -> Path:
    """Thermal zones as the kernel shows them: two good ones, one off, one that gives nothing."""
    contents = (("x86_pkg_temp", "48500"), ("acpitz", "-274000"), ("acpitz", "27800"), ("iwlwifi", None))
    for number, (name, degrees) in enumerate(contents):
        zone = tmp_path / f"thermal_zone{number}"
        zone.mkdir()
        (zone / "type").write_text(f"{name}\n")
        if degrees:
            (zone / "temp").write_text(f"{degrees}\n")
    return tmp_path


def test_the_kernels_zones_are_read(zones: Path) -> None:
    assert values(read_zones(zones), "temperature") == {
        "x86_pkg_temp (thermal_zone0)": 48.5,
        "acpitz (thermal_zone2)": 27.8,
    }
    assert read_zones(zones / "nothing") == []


def test_tegrastats_runs_as_long_as_the_line(zones: Path, tmp_path: Path) -> None:
    """A program that writes what tegrastats writes, for ever."""
    script = tmp_path / "stats.py"
    script.write_text(
        f"import time\nwhile True:\n    print({JETPACK_6!r}, end='', flush=True)\n    time.sleep(0.05)\n"
    )
    with Device(zones, (sys.executable, str(script))) as device:
        end = time.monotonic() + 60
        while not device.read():
            assert time.monotonic() < end
            time.sleep(0.02)
        found = device.read()
    assert {one.source for one in found} == {"tegrastats"}
    assert values(found, "power")["VDD_IN"] == 4.585
    assert "tegrastats" not in {thread.name for thread in threading.enumerate()}


def test_of_a_tegrastats_that_has_died_nothing_is_known(zones: Path) -> None:
    with Device(zones, (sys.executable, "-c", f"print({JETPACK_6!r}, end='')")) as device:
        end = time.monotonic() + 60
        while "tegrastats" in {thread.name for thread in threading.enumerate()}:
            assert time.monotonic() < end
            time.sleep(0.02)
        assert device.read() == []


def test_prometheus_reads_the_sensors(state: LineState, zones: Path) -> None:
    with (
        Device(zones, ("no-such-tegrastats",)) as device,
        MonitorServer("127.0.0.1:0", state, device=device) as server,
    ):
        body = ask(server, "/metrics")[2].decode()
    samples = {
        (sample.name, sample.labels["source"], sample.labels["sensor"]): sample.value
        for family in text_string_to_metric_families(body)
        for sample in family.samples
        if "sensor" in sample.labels
    }
    assert samples["realnet_edge_temperature_celsius", "thermal", "x86_pkg_temp (thermal_zone0)"] == 48.5
    # No meter, no figure: not even a zero.
    assert "realnet_edge_power" not in body


@pytest.mark.gpu
def test_an_nvidia_gpu_says_how_warm_it_is() -> None:
    with Device(Path("/nothing"), ("no-such-tegrastats",)) as device:
        found = device.read()
    assert {one.source for one in found} == {"nvml"}
    assert 0 < values(found, "temperature")["gpu0"] < 110
