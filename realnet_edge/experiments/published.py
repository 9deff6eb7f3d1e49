"""The paper's experiments by their names, in the paper's order."""

from __future__ import annotations

from realnet_edge.experiments.ablations import ABLATIONS
from realnet_edge.experiments.comparisons import COMPARISONS
from realnet_edge.experiments.experiment import Experiment

_ORDER = ("table1", "table3", "table5a", "table5b", "figure5", *(f"tableS{number}" for number in range(1, 7)))
_BY_NAME = {experiment.name: experiment for experiment in (*COMPARISONS, *ABLATIONS)}

EXPERIMENTS: dict[str, Experiment] = {name: _BY_NAME[name] for name in _ORDER}
