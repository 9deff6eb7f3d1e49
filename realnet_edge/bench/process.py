"""The parent's side of a measuring process: start it, command it, learn how it failed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

from realnet_edge import errors
from realnet_edge.bench.job import EngineFacts, Job
from realnet_edge.errors import BackendError, RealnetEdgeError
from realnet_edge.files import write_json

_LOG_TAIL = 1500
_STOP_SECONDS = 10.0


class Worker:
    """One engine in a process of its own; a context manager that ends the process.

    Args:
        name: the engine's, for error messages.
        job: what to open.
        folder: an existing folder for the job file and the process's log.

    Raises:
        RealnetEdgeError: the engine cannot be opened; the same class that it raised in its process.
        BackendError: the process died.
    """

    def __init__(self, name: str, job: Job, folder: Path) -> None:
        self.name = name
        self._log = folder / f"{name}.log"
        write_json(folder / f"{name}.json", job.to_dict())
        environment = dict(os.environ)
        if job.threads is not None:
            # OpenMP reads it once, when the library is loaded: too early for any later call.
            environment["OMP_NUM_THREADS"] = str(job.threads)
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "realnet_edge.bench.worker", str(folder / f"{name}.json")],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment,
                text=True,
                encoding="utf-8",
            )
        try:
            self.facts = EngineFacts.from_dict(self._receive())
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """Process id of the measuring process."""
        return self._process.pid

    def call(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Have the process do something and wait for its answer.

        Raises:
            RealnetEdgeError: it failed; the same class that it raised in its process.
            BackendError: the process died.
        """
        assert self._process.stdin is not None  # noqa: S101  # for type checkers: it was asked for above
        try:
            self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._death() from None
        return self._receive()

    def close(self) -> None:
        """End the process; by force if it does not follow the end of its input."""
        process = self._process
        for stream in (process.stdin, process.stdout):
            if stream is not None and not stream.closed:
                try:
                    stream.close()
                except BrokenPipeError:
                    continue
        try:
            process.wait(_STOP_SECONDS if sys.exc_info()[0] is None else 0.1)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _receive(self) -> dict[str, Any]:
        assert self._process.stdout is not None  # noqa: S101  # for type checkers: it was asked for above
        line = self._process.stdout.readline()
        if not line:
            raise self._death()
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            kind = getattr(errors, answer["error"], RealnetEdgeError)
            raise kind(f"{self.name}: {answer['message']}")
        result: dict[str, Any] = answer["ok"]
        return result

    def _death(self) -> BackendError:
        code = self._process.wait()
        how = f"ended with exit status {code}"
        if code < 0:
            how = f"was ended by signal {signal.Signals(-code).name}"
        if code == -signal.SIGKILL:
            how += " (most often: memory ran out; free some, or measure fewer engines with --backend)"
        said = self._log.read_text(encoding="utf-8", errors="replace").strip()[-_LOG_TAIL:]
        return BackendError(f"{self.name}: its measuring process {how}. It said:\n{said or '(nothing)'}")
