"""The process in which one engine is measured: `python -m realnet_edge.bench.worker JOB.json`.

Each engine has a process of its own, so that neither the memory nor the threads of one backend
touch the figures of another. It reads one JSON command a line from standard input and answers each
with one JSON line; it ends when its standard input does.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from realnet_edge import __version__
from realnet_edge.bench.job import EngineFacts, Job
from realnet_edge.bench.measure import measure, peak_memory_mb
from realnet_edge.bench.predictions import predict
from realnet_edge.bundle import BACKENDS, load_bundle
from realnet_edge.errors import RealnetEdgeError
from realnet_edge.files import read_json
from realnet_edge.installed import ONNXRUNTIME, installed_versions
from realnet_edge.runtime import Runner, open_runner

_PACKAGES = {
    "pytorch": ("torch", "timm"),
    "openvino": ("openvino",),
    "tensorrt": ("tensorrt", "tensorrt-rtx-cu13"),
    **{backend: ONNXRUNTIME for backend in BACKENDS if backend.startswith("onnxruntime")},
}

_Command = Callable[..., dict[str, Any]]


def main() -> None:
    """Open the engine that the job names and serve commands until standard input ends."""
    job = Job.from_dict(read_json(Path(sys.argv[1])))
    # Libraries print to standard output as they please; the answers get a stream of their own.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    try:
        with _open(job) as engine:
            commands: dict[str, _Command] = {"time": engine.time, "predict": engine.predict}
            _answer(answers, engine.facts)
            for line in sys.stdin:
                command = json.loads(line)
                _answer(answers, partial(commands[command.pop("do")], **command))
    except RealnetEdgeError as error:
        _write(answers, _error(error))


@contextmanager
def _open(job: Job) -> Iterator[_Engine]:
    """The engine, ready to run."""
    if job.is_bundle:
        bundle = load_bundle(job.engine, job.require_signature)
        with open_runner(bundle, job.threads) as runner:
            stated = bundle.manifest
            yield _Engine(runner, job, "rrs_indices" in stated.outputs, stated.checkpoint_sha256)
        return
    # Only the reference row needs torch; a machine that runs bundles has none.
    from realnet_edge.export import TorchRunner
    from realnet_edge.model.checkpoint import load_checkpoint

    checkpoint = load_checkpoint(job.engine)
    with TorchRunner(checkpoint, threads=job.threads) as runner:
        yield _Engine(runner, job, True, checkpoint.sha256)


@dataclass(frozen=True)
class _Engine:
    """An open runner and what the commands need beside it."""

    runner: Runner
    job: Job
    tells_rrs: bool
    checkpoint_sha256: str

    def facts(self) -> dict[str, Any]:
        """What it says of itself."""
        found = installed_versions((*_PACKAGES.get(self.runner.backend, ()), "numpy"))
        versions = [f"realnet-edge {__version__}", *(f"{name} {version}" for name, version in found.items())]
        return EngineFacts(
            arithmetic=self.runner.arithmetic,
            batch_range=self.runner.batch_range,
            input_size=self.runner.input_size,
            tells_rrs=self.tells_rrs,
            checkpoint_sha256=self.checkpoint_sha256,
            versions=", ".join([*versions, f"Python {platform.python_version()}"]),
        ).to_dict()

    def time(self, batch: int, runs: int, warmup: int, threshold: float | None) -> dict[str, Any]:
        """Time calls; see `measure`."""
        frames = [path.read_bytes() for path in self.job.frames]
        timing = measure(self.runner, frames, batch, runs, warmup, threshold)
        return {
            "engine_ms": timing.engine_ms.tolist(),
            "end_to_end_ms": timing.end_to_end_ms.tolist(),
            "peak_memory_mb": peak_memory_mb(),
        }

    def predict(self, batch: int, paths: list[str], out: str) -> dict[str, Any]:
        """Run all images through and write the answers to the file `out`."""
        predictions = predict(self.runner, [Path(path) for path in paths], batch, self.tells_rrs)
        predictions.save(Path(out))
        return {}


def _answer(stream: TextIO, action: Callable[[], dict[str, Any]]) -> None:
    try:
        answer = {"ok": action()}
    except RealnetEdgeError as error:
        answer = _error(error)
    _write(stream, answer)


def _error(error: RealnetEdgeError) -> dict[str, Any]:
    return {"error": type(error).__name__, "message": str(error)}


def _write(stream: TextIO, answer: dict[str, Any]) -> None:
    stream.write(json.dumps(answer) + "\n")
    stream.flush()


if __name__ == "__main__":
    main()
