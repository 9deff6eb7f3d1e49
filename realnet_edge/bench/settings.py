"""What a benchmark run is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from realnet_edge.errors import ConfigError

DEFAULT_BUDGET = 0.99
DEFAULT_RUNS = 50


@dataclass(frozen=True)
class BenchSettings:
    """Options of `run_bench`.

    Attributes:
        data: folder that holds the category's images; None takes the one recorded in the checkpoint.
        backends: measure only these, "pytorch" among them; empty takes all.
        precisions: measure only bundles of these; empty takes all.
        batches: images a call, one row for each; accuracy is measured at each of them too. Empty takes one,
            or the fewest that an engine takes.
        images: at most that many test images, evenly spread; None takes all.
        budget: share of FP32 PyTorch's accuracy that each metric must keep, in (0, 1].
        runs: timed calls a row, engine alone and end to end each.
        warmup: calls before the clock starts.
        threads: processor threads of each engine; None takes all that this process may use.
        sequential: one engine after the other. By default all are loaded at once and take turns in
            rounds, so that a slow spell of the machine does not fall on one of them alone; that
            needs the memory of all.
        require_signature: files of public keys, one of which has to have signed each bundle; None for any.

    Raises:
        ConfigError: a value outside its range.
    """

    data: Path | None = None
    backends: tuple[str, ...] = ()
    precisions: tuple[str, ...] = ()
    batches: tuple[int, ...] = ()
    images: int | None = None
    budget: float = DEFAULT_BUDGET
    runs: int = DEFAULT_RUNS
    warmup: int = 3
    threads: int | None = None
    sequential: bool = False
    require_signature: tuple[Path, ...] | None = None

    def __post_init__(self) -> None:
        if not 0.0 < self.budget <= 1.0:
            raise ConfigError(f"budget {self.budget} is outside (0, 1]: give 0.99 or 0.999.")
        if self.batches and min(self.batches) < 1:
            raise ConfigError(f"batch sizes {self.batches} are not valid: each is at least 1.")
        for name, value, least in (("runs", self.runs, 1), ("warmup", self.warmup, 0)):
            if value < least:
                raise ConfigError(f"{name} {value} is not valid: give at least {least}.")
        if self.threads is not None and self.threads < 1:
            raise ConfigError(f"threads {self.threads} is not valid: give at least 1, or leave it out.")
        if self.images is not None and self.images < 2:
            raise ConfigError(f"images {self.images} is not valid: give at least 2, one good and one defect.")
