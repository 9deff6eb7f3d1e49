"""The parent's side of the process that Triton compiles in."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from realnet_edge.errors import DependencyError, KernelError
from realnet_edge.kernels.spec import KernelSpec
from realnet_edge.kernels.targets import Target, dotted

_LOG_TAIL = 1500


@dataclass(frozen=True)
class TritonOutput:
    """What Triton made of one kernel.

    Args:
        ptx: text with Triton's own entry name and hidden parameters.
        dynamic_shared: bytes of shared memory to launch with.
        global_scratch, profile_scratch: bytes of scratch memory that the kernel needs.
    """

    ptx: str
    dynamic_shared: int
    global_scratch: int
    profile_scratch: int


def require_triton() -> None:
    """Refuse where Triton is not installed.

    Raises:
        DependencyError: it is not.
    """
    if importlib.util.find_spec("triton") is None:
        raise DependencyError(
            "compiling kernels needs Triton, which is not installed. There are packages for Linux on x86-64 "
            "and aarch64: pip install 'realnet-edge[kernels]'. No GPU is needed: compile on such a machine "
            "and copy the files."
        )


def hash_kernels(specs: Sequence[KernelSpec]) -> tuple[str, dict[str, str]]:
    """Triton's version, and for each kernel a SHA-256 of its source, called functions, types and constants.

    Raises:
        DependencyError: Triton is not installed.
        KernelError: a kernel cannot be loaded.
    """
    job = {"do": "hash", "kernels": [spec.to_dict() for spec in specs]}
    with _child(job, "reading the kernels") as lines:
        version = next(lines)["triton"]
        return version, {line["done"]: line["source"] for line in lines}


@contextmanager
def compiling(
    specs: Sequence[KernelSpec], target: Target, ptx_version: int
) -> Iterator[Iterator[tuple[str, TritonOutput]]]:
    """A process that compiles kernels for one target; yields (name, output) one after the other.

    Nothing is checked beforehand: `choose_ptx_version` is what keeps LLVM from ending the process.

    Raises:
        DependencyError: Triton is not installed.
        KernelError: a kernel does not compile, or the process died; what was done before has been yielded.
    """
    job = {
        "do": "compile",
        "sm": target.sm,
        "ptx_version": ptx_version,
        "kernels": [spec.to_dict() for spec in specs],
    }
    with _child(job, f"{target.name}, PTX {dotted(ptx_version)}") as lines:
        next(lines)
        fields = TritonOutput.__dataclass_fields__
        yield ((line["done"], TritonOutput(**{name: line[name] for name in fields})) for line in lines)


@contextmanager
def _child(job: dict[str, Any], what: str) -> Iterator[Iterator[dict[str, Any]]]:
    """Start the process, yield the lines of its results, and end it, by force if it is still at work."""
    require_triton()
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "log").open("w+b") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "realnet_edge.kernels.triton_child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=_environment(Path(folder)),
            text=True,
            encoding="utf-8",
        )
        try:
            yield _results(process, job, what, log)
        finally:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    with suppress(BrokenPipeError):
                        stream.close()


def _environment(folder: Path) -> dict[str, str]:
    """This process's variables, without those of Triton's own that would change what it writes."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TRITON_")}
    # Its cache would outlive --force, and line information names this machine's folders in every file.
    return kept | {"TRITON_CACHE_DIR": str(folder / "cache"), "TRITON_DISABLE_LINE_INFO": "1"}


def _results(
    process: subprocess.Popen[str], job: dict[str, Any], what: str, log: IO[bytes]
) -> Iterator[dict[str, Any]]:
    """The process's version line and its results; raises if it does not end well."""
    assert process.stdin is not None  # noqa: S101  # for type checkers: both were asked for above
    assert process.stdout is not None  # noqa: S101
    last = "none yet"
    try:
        process.stdin.write(json.dumps(job))
        process.stdin.close()
    except BrokenPipeError:
        raise _death(process, what, last, log) from None
    for text in process.stdout:
        if not text.endswith("\n"):  # it died while it wrote
            break
        line: dict[str, Any] = json.loads(text)
        if "failed" in line:
            raise KernelError(f"{what}: kernel {line['failed']} does not compile. {line['message']}")
        if "begun" in line:
            last = line["begun"]
        else:
            yield line
    if process.wait() != 0:
        raise _death(process, what, last, log)


def _death(process: subprocess.Popen[str], what: str, last: str, log: IO[bytes]) -> KernelError:
    code = process.wait()
    how = (
        f"was ended by signal {signal.Signals(-code).name}" if code < 0 else f"ended with exit status {code}"
    )
    advice = (
        "Most often memory ran out: free some and start again."
        if code == -signal.SIGKILL
        else "Leave --ptx-version out if it was given, or give a newer one; the other kernels compile with "
        "--kernel, one option for each."
    )
    log.seek(0)
    said = log.read().decode("utf-8", errors="replace").strip()
    return KernelError(
        f"{what}: the compiling process {how} at kernel {last}. {advice} It said:\n{_summary(said)}"
    )


def _summary(said: str) -> str:
    """LLVM's own line where there is one: a trace of its stack follows it and says nothing to a user."""
    errors = [line for line in said.splitlines() if "LLVM ERROR" in line]
    return "\n".join(errors)[-_LOG_TAIL:] or said[-_LOG_TAIL:] or "(nothing)"
