"""Where runs and their results lie."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from realnet_edge.experiments.plan import Run
from realnet_edge.experiments.results import ResultsFile, RunResult
from realnet_edge.workspace import CategoryPaths, Workspace

# No category's name begins so, and a workspace lists its categories by their folders.
_FOLDER = "_reproduce"


@dataclass(frozen=True)
class Place:
    """The folder of all experiments of a workspace; runs that two of them share lie there once."""

    root: Path

    @classmethod
    def inside(cls, workspace: Path) -> Place:
        """The place in a workspace."""
        return cls(workspace / _FOLDER)

    @property
    def results(self) -> ResultsFile[RunResult]:
        return ResultsFile(self.root / "results.jsonl", RunResult)

    def paths(self, run: Run) -> CategoryPaths:
        """The run's checkpoint, training state and curves."""
        return Workspace(self.root / "runs" / run.key).category(run.category.name)
