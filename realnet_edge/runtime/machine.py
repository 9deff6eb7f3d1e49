"""What this machine is: processor, the instructions that speed inference up, memory, GPUs, Jetson.

Everything is read from Linux' own files and `nvidia-smi`; on another system what cannot be read is
reported as unknown, never guessed.
"""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from realnet_edge.errors import BackendError

CPUINFO = Path("/proc/cpuinfo")
MEMINFO = Path("/proc/meminfo")
CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")
BOARD = Path("/proc/device-tree/model")
JETSON_RELEASE = Path("/etc/nv_tegra_release")

# Flags as the kernel spells them, and what they compute faster. x86 first, then Arm.
CPU_FEATURES = {
    "avx2": "fp32",
    "avx512f": "fp32",
    "amx_bf16": "bf16",
    "avx512_bf16": "bf16",
    "amx_fp16": "fp16",
    "avx512_fp16": "fp16",
    "amx_int8": "int8",
    "avx512_vnni": "int8",
    "avx_vnni": "int8",
    "asimd": "fp32",
    "sve": "fp32",
    "bf16": "bf16",
    "asimdhp": "fp16",
    "asimddp": "int8",
    "i8mm": "int8",
}

NVIDIA_SMI = (
    "nvidia-smi",
    "--query-gpu=name,memory.total,driver_version,compute_cap",
    "--format=csv,noheader,nounits",
)
NVIDIA_SMI_SECONDS = 20.0  # a GPU that has to wake up first takes several


@dataclass(frozen=True)
class Gpu:
    """One NVIDIA GPU as `nvidia-smi` names it; fields that it does not know are None."""

    name: str
    memory_mb: int | None
    driver: str
    compute_capability: str | None


@dataclass(frozen=True)
class Machine:
    """This machine, as far as it matters to inference.

    Attributes:
        cpu: the processor's name, or the board's where the processor has none.
        cores: logical processors this process may use, after affinity and container quota.
        cpu_features: those of `CPU_FEATURES` that it has.
        memory_mb: main memory in MiB, None if unknown.
        gpu_problem: why `nvidia-smi` is there but gives no answer.
        jetson: first line of NVIDIA's release file on a Jetson, else None.
    """

    system: str
    architecture: str
    cpu: str
    cores: int
    cpu_features: tuple[str, ...]
    memory_mb: int | None
    gpus: tuple[Gpu, ...]
    gpu_problem: str | None
    jetson: str | None

    def to_dict(self) -> dict[str, Any]:
        """As a JSON document."""
        return asdict(self)


def describe_machine() -> Machine:
    """Read what this machine is; starts `nvidia-smi` where there is one."""
    cpu, features = parse_cpuinfo(_text(CPUINFO))
    gpus, problem = find_gpus()
    return Machine(
        system=platform.platform(),
        architecture=platform.machine(),
        cpu=cpu or _first_line(BOARD) or platform.processor() or "unknown",
        cores=usable_cores(),
        cpu_features=features,
        memory_mb=parse_meminfo(_text(MEMINFO)),
        gpus=gpus,
        gpu_problem=problem,
        jetson=_first_line(JETSON_RELEASE),
    )


def parse_cpuinfo(text: str) -> tuple[str | None, tuple[str, ...]]:
    """The processor's name, None if it is not there (Arm), and its features, from /proc/cpuinfo."""
    fields: dict[str, str] = {}
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        if colon:
            fields.setdefault(key.strip(), value.strip())
    flags = set(fields.get("flags", fields.get("Features", "")).split())
    return fields.get("model name"), tuple(name for name in CPU_FEATURES if name in flags)


def int8_saturates(text: str | None = None, architecture: str | None = None) -> bool:
    """Whether INT8 kernels of this processor lose sums: x86 without VNNI adds two products in 16 bits.

    Two products of 255 and 127 do not fit there and are cut off without a word; with weights of 7 bits they
    fit. (Intel, "Lower Numerical Precision Deep Learning Inference and Training", 2018.)

    Args:
        text: /proc/cpuinfo; None reads it. Where it cannot be read the answer is False.
        architecture: as `platform.machine` gives it; None asks it.
    """
    _, features = parse_cpuinfo(_text(CPUINFO) if text is None else text)
    x86 = (architecture or platform.machine()) in ("x86_64", "AMD64")
    return x86 and "avx2" in features and not any(CPU_FEATURES[name] == "int8" for name in features)


def refuse_saturation(weight_bits: int, engine: str) -> None:
    """Refuse an INT8 engine that this processor would compute wrongly, see `int8_saturates`.

    Args:
        weight_bits: bits of its weights.
        engine: what the message calls it.

    Raises:
        BackendError: the weights are wider than 7 bits, and this processor cuts off sums.
    """
    if weight_bits > 7 and int8_saturates():
        raise BackendError(
            f"{engine}: its INT8 weights have {weight_bits} bits, and this processor, x86 without VNNI, cuts "
            "off sums of such products: its maps would be wrong. Build it on this machine, or elsewhere with "
            "--weight-bits 7, which is right on both, or use fp32."
        )


def parse_meminfo(text: str) -> int | None:
    """Main memory in MiB from /proc/meminfo, None if it is not there."""
    for line in text.splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) // 1024
    return None


def usable_cores() -> int:
    """Logical processors that this process may use: affinity, and a container's quota rounded up."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return min(cores, parse_quota(_text(CPU_QUOTA)) or cores)


def parse_quota(text: str) -> int | None:
    """Processors granted by a cgroup's cpu.max ("200000 100000" -> 2), None where there is no limit."""
    parts = text.split()
    if len(parts) != 2 or parts[0] == "max":
        return None
    return max(1, -(-int(parts[0]) // int(parts[1])))


def find_gpus() -> tuple[tuple[Gpu, ...], str | None]:
    """The NVIDIA GPUs, and why `nvidia-smi` failed if it is installed and did.

    A Jetson without `nvidia-smi` has a GPU all the same: `Machine.jetson` tells.
    """
    try:
        done = subprocess.run(
            NVIDIA_SMI, capture_output=True, text=True, timeout=NVIDIA_SMI_SECONDS, check=False
        )
    except FileNotFoundError:
        return (), None
    except subprocess.TimeoutExpired:
        return (), f"nvidia-smi gave no answer in {NVIDIA_SMI_SECONDS:g} s"
    if done.returncode != 0:
        return (), (done.stderr or done.stdout).strip() or f"nvidia-smi exited with {done.returncode}"
    return parse_gpus(done.stdout), None


def parse_gpus(text: str) -> tuple[Gpu, ...]:
    """GPUs from the lines that `nvidia-smi` prints for `NVIDIA_SMI`; "[N/A]" becomes None."""
    gpus = []
    for line in filter(str.strip, text.splitlines()):
        name, memory, driver, capability = (field.strip() for field in line.rsplit(",", 3))
        known = capability if capability[:1].isdigit() else None
        gpus.append(Gpu(name, int(memory) if memory.isdigit() else None, driver, known))
    return tuple(gpus)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _first_line(path: Path) -> str | None:
    # The device tree ends its strings with a zero byte.
    return _text(path).partition("\n")[0].strip(" \0") or None
