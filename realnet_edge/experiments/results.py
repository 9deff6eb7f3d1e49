"""Result rows: one a finished run, as lines of JSON in a file that only grows."""

from __future__ import annotations

import dataclasses
import fcntl
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, Generic, Protocol, TypeVar

from realnet_edge.config import CHECKPOINT_BY
from realnet_edge.errors import DataError


@dataclass(frozen=True)
class RunResult:
    """What one training reached on the test images of its category, or categories; None: not measurable.

    Attributes:
        key: of the run, as `Run.key`: the same settings, category, seed and data give the same.
        category: its name.
        data_set: short name of the published data set it is a copy of; empty for a user's own.
        root: its folder.
        seed: of splits, weights, anomalies and order.
        settings: "model", "synthesis" and "train", as the configuration classes store themselves.
        weights: file of the backbone's weights that the user gave; empty without one.
        steps, minutes: how long it trained; `stopped` why it ended: "steps", "minutes" or "patience".
        best_step: step of the validation whose model was kept.
        images: test images behind the figures.
        image_auroc, pixel_auroc, au_pro, pro_reference: percent, as in `realnet_edge.report.rows.ResultRow`.
        image_auroc_low, image_auroc_high: ends of its 95% bootstrap interval, percent.
        size_gib: the checkpoint's weights in FP32, backbone included, in GiB (2^30 bytes).
        device: what evaluated and, where it differs, what this machine trains on, in words.
        arithmetic: what the training steps computed in.
        versions: software that took part, "name version" joined by ", ".
        finished: when, in UTC, ISO 8601.
        checkpoint_by: one of `realnet_edge.config.CHECKPOINT_BY`; "test-set" is the paper's way, by which
            the checkpoint is the best of all on these very test images.
        by_category: where one model inspects several categories, the figures of each by its name: `images`
            and the accuracy. The row's own are then their means, without an interval.
        image_auroc_max and what follows: as in `ResultRow`; None in rows of versions that had none.
    """

    key: str
    category: str
    data_set: str
    root: str
    seed: int
    settings: dict[str, Any]
    weights: str
    steps: int
    minutes: float
    stopped: str
    best_step: int
    images: int
    image_auroc: float | None
    image_auroc_low: float | None
    image_auroc_high: float | None
    pixel_auroc: float | None
    au_pro: float | None
    pro_reference: float | None
    size_gib: float
    device: str
    arithmetic: str
    versions: str
    finished: str
    checkpoint_by: str = CHECKPOINT_BY[0]
    by_category: dict[str, dict[str, Any]] = field(default_factory=dict)
    image_auroc_max: float | None = None
    image_auroc_avgpool16: float | None = None
    image_ap: float | None = None
    image_ap_low: float | None = None
    image_ap_high: float | None = None
    image_f1_max: float | None = None
    image_f1_max_low: float | None = None
    image_f1_max_high: float | None = None
    pixel_auroc_low: float | None = None
    pixel_auroc_high: float | None = None
    au_pro_low: float | None = None
    au_pro_high: float | None = None
    pro_reference_low: float | None = None
    pro_reference_high: float | None = None
    pixel_ap: float | None = None
    pixel_ap_low: float | None = None
    pixel_ap_high: float | None = None
    pixel_f1_max: float | None = None
    pixel_f1_max_low: float | None = None
    pixel_f1_max_high: float | None = None

    @property
    def singles(self) -> tuple[RunResult, ...]:
        """A row for each category that the model inspects: this one where that is one alone."""
        if not self.by_category:
            return (self,)
        return tuple(
            dataclasses.replace(self, category=name, by_category={}, **figures)
            for name, figures in self.by_category.items()
        )


class _Keyed(Protocol):
    """A row: a data class with this field and others that JSON has."""

    @property
    def key(self) -> str: ...


_Row = TypeVar("_Row", bound=_Keyed)


@dataclass(frozen=True)
class ResultsFile(Generic[_Row]):
    """The rows of a workspace. Several processes may append to it at once.

    Attributes:
        path: of the file.
        kind: data class of a row.
    """

    path: Path
    kind: type[_Row]

    def rows(self) -> dict[str, _Row]:
        """Rows by their keys, oldest first; empty where there is no file.

        A last line without its end is what a kill left of a row: it does not count.

        Raises:
            DataError: a whole line is no result row.
        """
        if not self.path.is_file():
            return {}
        return self._read(self.path.read_bytes())

    def append(self, row: _Row) -> None:
        """Add a row and bring it to the disk, unless one of its key is there.

        Raises:
            DataError: as `rows`.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a+b") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            stream.seek(0)
            content = stream.read()
            if row.key in self._read(content):
                return
            # What a kill left of a row would spoil the next one.
            stream.truncate(content.rfind(b"\n") + 1)
            _write(stream, row)

    def _read(self, content: bytes) -> dict[str, _Row]:
        lines = content[: content.rfind(b"\n") + 1].decode("utf-8", errors="replace").splitlines()
        found: dict[str, _Row] = {}
        for number, line in enumerate(lines, 1):
            try:
                row = self.kind(**json.loads(line))
            except (ValueError, TypeError) as error:
                raise DataError(
                    f"{self.path}, line {number}: not a result row of this version ({error}). Remove the "
                    "line: its run is then evaluated again, or trained again where its checkpoint is gone."
                ) from error
            found.setdefault(row.key, row)
        return found


def measured(row: RunResult, metric: str) -> float | None:
    """A row's figure by its name in `METRIC_LABELS`; None where it has none."""
    known = {field.name for field in dataclasses.fields(row)}
    return getattr(row, metric) if metric in known else None


def _write(stream: IO[bytes], row: Any) -> None:
    line = json.dumps(asdict(row), allow_nan=False, ensure_ascii=False) + "\n"
    stream.write(line.encode("utf-8"))
    stream.flush()
    os.fsync(stream.fileno())
