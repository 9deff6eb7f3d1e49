"""NVIDIA's assembler: find one that knows the target, assemble PTX, read what the code needs."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from realnet_edge.errors import DependencyError, KernelError
from realnet_edge.kernels.targets import CUDA_OF_PTX, Target, dotted

# Triton ships two, the second for newer GPUs.
_SHIPPED = ("ptxas", "ptxas-blackwell")
_TIMEOUT_SECONDS = 300.0


@dataclass(frozen=True)
class Ptxas:
    """An assembler and what it knows.

    Args:
        path: the program.
        cuda: release of the CUDA toolkit it belongs to, as (12, 9).
        targets: names that its --gpu-name takes, such as "sm_87".
        shipped: whether it came with Triton.
    """

    path: Path
    cuda: tuple[int, int]
    targets: frozenset[str]
    shipped: bool

    @property
    def release(self) -> str:
        return f"{self.cuda[0]}.{self.cuda[1]}"

    def takes(self, target: Target, ptx_version: int) -> bool:
        """Whether it assembles PTX of this version (85 for 8.5) for the target."""
        needed = tuple(int(part) for part in CUDA_OF_PTX[ptx_version].split("."))
        return target.name in self.targets and needed <= self.cuda


@dataclass(frozen=True)
class Resources:
    """What a kernel needs, as the assembler says.

    Args:
        registers: of each thread.
        static_shared: bytes of shared memory that the code itself declares.
        stack: bytes of each thread's stack frame.
        spill_stores, spill_loads: bytes that registers did not suffice for; 0 in a fast kernel.
    """

    registers: int
    static_shared: int
    stack: int
    spill_stores: int
    spill_loads: int

    @property
    def spills(self) -> bool:
        return self.spill_stores + self.spill_loads > 0


def find_ptxas(target: Target, ptx_version: int, candidates: Sequence[Ptxas] | None = None) -> Ptxas:
    """An assembler that knows the target and the PTX version.

    Triton's own come before one on PATH, so that machines with the same Triton write the same files, and the
    older before the newer, for older drivers load what it writes.

    Args:
        candidates: to choose from; those of this machine if None.

    Raises:
        DependencyError: there is none; the message names those that were found.
    """
    known = installed_ptxas() if candidates is None else candidates
    fitting = [ptxas for ptxas in known if ptxas.takes(target, ptx_version)]
    if not fitting:
        found = ", ".join(f"{ptxas.path} (CUDA {ptxas.release})" for ptxas in known) or "none"
        raise DependencyError(
            f"no ptxas here assembles PTX {dotted(ptx_version)} for {target.name}; found: {found}. Install a "
            f"newer Triton, or a CUDA toolkit from {CUDA_OF_PTX[ptx_version]} on with its ptxas on PATH."
        )
    return min(fitting, key=lambda ptxas: (not ptxas.shipped, ptxas.cuda))


@cache
def installed_ptxas() -> tuple[Ptxas, ...]:
    """The assemblers that Triton brings, and the one on PATH."""
    shipped: list[Path] = []
    # Looked up, not imported: importing Triton takes long and reads its environment variables.
    found = importlib.util.find_spec("triton")
    for folder in (found.submodule_search_locations or []) if found else []:
        shipped += [Path(folder) / "backends" / "nvidia" / "bin" / name for name in _SHIPPED]
    on_path = shutil.which("ptxas")
    described = [_describe(path, shipped=True) for path in shipped if path.is_file()]
    described += [_describe(Path(on_path), shipped=False)] if on_path else []
    return tuple(ptxas for ptxas in described if ptxas is not None)


def assemble(ptxas: Ptxas, ptx: str, target: Target, fp_fusion: bool) -> tuple[bytes, Resources]:
    """Assemble PTX into a cubin.

    Args:
        ptx: text with one entry.
        fp_fusion: whether a product and a sum may become one instruction.

    Returns:
        The cubin's bytes and what the kernel needs.

    Raises:
        KernelError: the assembler refuses it; the message holds what it said.
    """
    with tempfile.TemporaryDirectory() as folder:
        source, cubin = Path(folder) / "kernel.ptx", Path(folder) / "kernel.cubin"
        source.write_text(ptx, encoding="utf-8")
        options = ["-v", f"--gpu-name={target.name}", f"--fmad={'true' if fp_fusion else 'false'}"]
        if ptxas.cuda >= (13, 0):
            # Against an error of the 13.x assemblers in register allocation; Triton passes it as well.
            options.append("--regAllocOptLevel=2")
        done = _run([str(ptxas.path), *options, str(source), "-o", str(cubin)])
        if done.returncode != 0:
            raise KernelError(
                f"{ptxas.path} (CUDA {ptxas.release}) refuses the PTX for {target.name}, exit status "
                f"{done.returncode}. It said:\n{(done.stderr or done.stdout).strip()}"
            )
        return cubin.read_bytes(), parse_resources(done.stderr + done.stdout)


def parse_resources(report: str) -> Resources:
    """Read the report of `ptxas -v` on one entry.

    Raises:
        KernelError: it does not say how many registers the kernel needs.
    """
    registers = re.search(r"Used (\d+) registers", report)
    if registers is None:
        raise KernelError(f"ptxas did not report the kernel's registers. It said:\n{report.strip()}")

    def bytes_of(what: str) -> int:
        match = re.search(rf"(\d+) bytes {what}", report)
        return int(match[1]) if match else 0

    return Resources(
        registers=int(registers[1]),
        static_shared=bytes_of("smem"),
        stack=bytes_of("stack frame"),
        spill_stores=bytes_of("spill stores"),
        spill_loads=bytes_of("spill loads"),
    )


def _describe(path: Path, shipped: bool) -> Ptxas | None:
    """What an assembler says of itself; None if it does not run here, as one built for another processor."""
    try:
        version, helped = (_run([str(path), option]).stdout for option in ("--version", "--help"))
    except (OSError, subprocess.TimeoutExpired):
        return None
    release = re.search(r"release (\d+)\.(\d+)", version)
    if release is None:
        return None
    targets = frozenset(re.findall(r"'(sm_\w+)'", helped))
    return Ptxas(path, (int(release[1]), int(release[2])), targets, shipped)


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS, check=False)
