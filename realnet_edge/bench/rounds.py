"""Runs the measuring processes in turns and collects what each found."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from realnet_edge.bench.job import EngineFacts, Job
from realnet_edge.bench.measure import Timing
from realnet_edge.bench.predictions import Predictions
from realnet_edge.bench.process import Worker
from realnet_edge.bench.settings import BenchSettings
from realnet_edge.bench.subjects import PYTORCH, Subject
from realnet_edge.errors import BundleError

ROUNDS = 5
TIMING_FRAMES = 16

# Called with the steps done, the steps in all and what begins now.
Progress = Callable[[int, int, str], None]
# Answers that need not be computed again: those stored of an engine, or None.
Known = Callable[[Subject, EngineFacts], Predictions | None]


@dataclass(frozen=True, eq=False)
class Measured:
    """One engine at one batch size.

    Attributes:
        subject: the engine.
        facts: what it said of itself.
        timing: its times.
        peak_memory_mb: highest resident memory of its process up to the end of these times. Batch
            sizes are timed in rising order and before any accuracy is measured, so nothing larger
            came before.
        predictions: its answers on all images at this batch size.
    """

    subject: Subject
    facts: EngineFacts
    timing: Timing
    peak_memory_mb: float
    predictions: Predictions


class Rounds:
    """Measures engines, each in a process of its own, in turns.

    Args:
        paths: the test images.
        settings: of the run.
        threads: processor threads of each engine.
        folder: an existing temporary folder.
        known: gives answers that are stored already.
        progress: is told of every step, if given.

    Attributes:
        facts: what each engine that was opened said of itself, by its name.
        reference: FP32 PyTorch's answers where it takes none of the batch sizes, so that it has no row
            among those measured; else None.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        settings: BenchSettings,
        threads: int,
        folder: Path,
        known: Known,
        progress: Progress | None = None,
    ) -> None:
        self._paths = paths
        self._settings = settings
        self._threads = threads
        self._folder = folder
        self._known = known
        self.facts: dict[str, EngineFacts] = {}
        self.reference: Predictions | None = None
        self._progress = progress
        self._batches = sorted(set(settings.batches))
        self._done = 0
        self._steps = 0
        self._origin: tuple[str, str] | None = None

    def measure(self, subjects: Sequence[Subject]) -> list[Measured]:
        """All engines, engine by engine, each at every batch size that it takes.

        Raises:
            RealnetEdgeError: an engine could not be opened, or failed.
        """
        self._done = 0
        self._steps = len(subjects) * (1 + self._sizes * (len(self._shares()) + 1))
        groups = [[subject] for subject in subjects] if self._settings.sequential else [list(subjects)]
        return [measured for group in groups if group for measured in self._measure_group(group)]

    def _measure_group(self, subjects: Sequence[Subject]) -> list[Measured]:
        """Engines that are loaded at the same time."""
        with ExitStack() as stack:
            workers = []
            for subject in subjects:
                self._begin(f"opening {subject.name}")
                is_bundle, keys = subject.manifest is not None, self._settings.require_signature
                job = Job(subject.path, is_bundle, self._threads, self._frames(), keys)
                worker = stack.enter_context(Worker(subject.name, job, self._folder))
                self._check_origin(subject, worker.facts)
                self.facts[subject.name] = worker.facts
                workers.append((subject, worker))
            able = [(batch, *pair) for pair in workers for batch in sizes_of(pair[1].facts, self._batches)]
            # Without any row there is nothing that would be compared with it.
            wanted = bool(able) or self._settings.sequential
            untimed = [pair for pair in workers if wanted and self._is_untimed_reference(*pair)]
            missing = len(workers) * self._sizes - len(able)
            self._done += missing * (len(self._shares()) + 1) - len(untimed)
            times: dict[tuple[str, int], list[dict[str, Any]]] = {}
            for batch in sorted({pair[0] for pair in able}):
                for runs in self._shares():
                    for _, subject, worker in (pair for pair in able if pair[0] == batch):
                        self._begin(f"timing {subject.name}, batch {batch}")
                        part = self._time(subject, worker, batch, runs)
                        times.setdefault((subject.name, batch), []).append(part)
            for subject, worker in untimed:
                low, high = worker.facts.batch_range
                self.reference = self._answers(subject, worker, min(max(self._batches[0], low), high))
            return [self._finish(s, w, batch, times[s.name, batch]) for batch, s, w in able]

    def _check_origin(self, subject: Subject, facts: EngineFacts) -> None:
        """Refuse an engine of another checkpoint: its row could not stand beside the others."""
        first, checkpoint = self._origin = self._origin or (subject.name, facts.checkpoint_sha256)
        if facts.checkpoint_sha256 != checkpoint:
            raise BundleError(
                f"{subject.name} was built from checkpoint {facts.checkpoint_sha256[:12]}, but {first} is of "
                f"{checkpoint[:12]}: their rows cannot stand side by side. Build it again with `"
                f"{subject.rebuild}`, or leave it out."
            )

    def _time(self, subject: Subject, worker: Worker, batch: int, runs: int) -> dict[str, Any]:
        warmup = self._settings.warmup
        return worker.call("time", batch=batch, runs=runs, warmup=warmup, threshold=subject.threshold)

    def _finish(
        self, subject: Subject, worker: Worker, batch: int, parts: Sequence[Mapping[str, Any]]
    ) -> Measured:
        """Join the rounds and add the answers on all images."""
        predictions = self._answers(subject, worker, batch)
        timing = Timing(batch, _joined(parts, "engine_ms"), _joined(parts, "end_to_end_ms"))
        return Measured(subject, worker.facts, timing, parts[-1]["peak_memory_mb"], predictions)

    def _answers(self, subject: Subject, worker: Worker, batch: int) -> Predictions:
        """The answers on all images: stored ones where there are any."""
        self._begin(f"accuracy of {subject.name}, batch {batch}")
        predictions = self._known(subject, worker.facts)
        if predictions is None:
            out = self._folder / f"{subject.name}-{batch}.npz"
            worker.call("predict", batch=batch, paths=[str(path) for path in self._paths], out=str(out))
            predictions = Predictions.load(out)
            out.unlink()
        return predictions

    def _is_untimed_reference(self, subject: Subject, worker: Worker) -> bool:
        """Whether it is PyTorch, and no batch size of this run is one that it takes."""
        return subject.backend == PYTORCH and not sizes_of(worker.facts, self._batches)

    @property
    def _sizes(self) -> int:
        """Most batch sizes that an engine is measured at."""
        return max(len(self._batches), 1)

    def _shares(self) -> list[int]:
        """Timed calls of each round."""
        rounds = min(1 if self._settings.sequential else ROUNDS, self._settings.runs)
        each, rest = divmod(self._settings.runs, rounds)
        return [each + (turn < rest) for turn in range(rounds)]

    def _frames(self) -> tuple[Path, ...]:
        """A few images, evenly spread, that every engine is timed on."""
        count = min(TIMING_FRAMES, len(self._paths))
        return tuple(self._paths[i * len(self._paths) // count] for i in range(count))

    def _begin(self, what: str) -> None:
        if self._progress is not None:
            self._progress(self._done, self._steps, what)
        self._done += 1


def takes(facts: EngineFacts, batch: int) -> bool:
    """Whether an engine accepts that many images at once."""
    return facts.batch_range[0] <= batch <= facts.batch_range[1]


def sizes_of(facts: EngineFacts, asked: Sequence[int]) -> list[int]:
    """Batch sizes that an engine is measured at: one, or the fewest it takes, where none was asked for."""
    if not asked:
        return [facts.batch_range[0]]
    return [batch for batch in asked if takes(facts, batch)]


def _joined(parts: Sequence[Mapping[str, Any]], name: str) -> npt.NDArray[np.float64]:
    return np.concatenate([np.asarray(part[name], np.float64) for part in parts])
