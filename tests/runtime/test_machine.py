"""Reading what a machine is from the texts that Linux and nvidia-smi print."""

from __future__ import annotations

import dataclasses
import os
import platform
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from realnet_edge.bundle import Bundle
from realnet_edge.bundle.sections import Calibration
from realnet_edge.errors import BackendError
from realnet_edge.runtime import machine, open_runner
from realnet_edge.runtime.machine import (
    Gpu,
    describe_machine,
    find_gpus,
    int8_saturates,
    parse_cpuinfo,
    parse_gpus,
    parse_meminfo,
    parse_quota,
)

X86 = """\
processor\t: 0
vendor_id\t: GenuineIntel
model name\t: Intel(R) Xeon(R) Processor @ 2.60GHz
flags\t\t: fpu sse avx avx2 avx512f avx512_vnni amx_bf16 amx_tile amx_int8 avx512_bf16

processor\t: 1
model name\t: something else
flags\t\t: fpu
"""
ARM = """\
processor\t: 0
BogoMIPS\t: 62.50
Features\t: fp asimd evtstrm aes crc32 atomics fphp asimdhp cpuid asimddp
CPU implementer\t: 0x41
"""


def test_x86_features_in_the_order_of_the_table() -> None:
    name, features = parse_cpuinfo(X86)
    assert name == "Intel(R) Xeon(R) Processor @ 2.60GHz"
    assert features == ("avx2", "avx512f", "amx_bf16", "avx512_bf16", "amx_int8", "avx512_vnni")


def test_arm_has_features_and_no_name() -> None:
    assert parse_cpuinfo(ARM) == (None, ("asimd", "asimdhp", "asimddp"))


def test_x86_without_vnni_cuts_off_sums_and_no_other() -> None:
    without = X86.replace("avx512_vnni ", "").replace("amx_int8 ", "")
    assert not int8_saturates(X86, "x86_64")
    assert int8_saturates(without, "x86_64")
    assert not int8_saturates(without.replace("avx2", "avx2 avx_vnni"), "AMD64")
    assert not int8_saturates(ARM, "aarch64")
    assert not int8_saturates("", "x86_64")


def test_an_engine_that_would_be_wrong_here_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, toy_bundle: Callable[..., Bundle]
) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(X86.replace("avx512_vnni ", "").replace("amx_int8 ", ""))
    monkeypatch.setattr(machine, "CPUINFO", cpuinfo)
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    narrow = toy_bundle(tmp_path / "narrow", precision="int8")
    wide = dataclasses.replace(
        narrow,
        manifest=dataclasses.replace(
            narrow.manifest, calibration=Calibration("minmax", 3, "1" * 64, weight_bits=8)
        ),
    )
    with open_runner(narrow):
        pass
    with pytest.raises(BackendError, match=r"weights have 8 bits.*--weight-bits 7"):
        open_runner(wide)
    cpuinfo.write_text(X86)
    with open_runner(wide):
        pass


def test_nothing_to_read_is_unknown() -> None:
    assert parse_cpuinfo("") == (None, ())
    assert parse_meminfo("") is None


def test_memory_in_mebibytes() -> None:
    assert parse_meminfo("MemTotal:        7863340 kB\nMemFree: 1 kB\n") == 7679


@pytest.mark.parametrize(
    ("text", "cores"),
    [("200000 100000", 2), ("150000 100000\n", 2), ("50000 100000", 1), ("max 100000", None), ("", None)],
)
def test_container_quota(text: str, cores: int | None) -> None:
    assert parse_quota(text) == cores


def test_quota_bounds_the_usable_cores(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    quota = tmp_path / "cpu.max"
    quota.write_text("100000 100000\n")
    monkeypatch.setattr(machine, "CPU_QUOTA", quota)
    assert machine.usable_cores() == 1
    monkeypatch.setattr(machine, "CPU_QUOTA", tmp_path / "absent")
    assert machine.usable_cores() == len(os.sched_getaffinity(0))


def test_gpus_with_commas_and_unknown_fields() -> None:
    text = "NVIDIA H100 80GB HBM3, 81559, 580.95.05, 9.0\nOrin (nvgpu), [N/A], 540.4.0, [N/A]\n\n"
    assert parse_gpus(text) == (
        Gpu("NVIDIA H100 80GB HBM3", 81559, "580.95.05", "9.0"),
        Gpu("Orin (nvgpu)", None, "540.4.0", None),
    )


def _program(script: str) -> tuple[str, ...]:
    return (sys.executable, "-c", script)


def test_absent_nvidia_smi_is_no_gpu_and_no_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "NVIDIA_SMI", ("no-such-program",))
    assert find_gpus() == ((), None)


def test_failing_nvidia_smi_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver."
    monkeypatch.setattr(machine, "NVIDIA_SMI", _program(f"import sys; print({text!r}); sys.exit(9)"))
    assert find_gpus() == ((), text)


def test_hanging_nvidia_smi_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "NVIDIA_SMI", _program("import time; time.sleep(60)"))
    monkeypatch.setattr(machine, "NVIDIA_SMI_SECONDS", 0.2)
    assert find_gpus() == ((), "nvidia-smi gave no answer in 0.2 s")


def test_this_machine() -> None:
    described = describe_machine()
    assert described.cpu != "unknown"
    assert 1 <= described.cores <= (os.cpu_count() or 1)
    assert described.to_dict()["cpu_features"] == described.cpu_features


@pytest.mark.gpu
def test_gpu_of_this_machine() -> None:
    gpus, problem = find_gpus()
    assert problem is None
    assert gpus
    assert gpus[0].memory_mb is None or gpus[0].memory_mb > 0
