"""The experiments by their names: the paper's in its order, then this package's own."""

from __future__ import annotations

from realnet_edge.experiments.ablations import ABLATIONS
from realnet_edge.experiments.comparisons import COMPARISONS
from realnet_edge.experiments.experiment import Experiment
from realnet_edge.experiments.own_ablation import ABLATION

_ORDER = (
    *("table1", "table3", "table5a", "table5b", "figure5"),
    *(f"tableS{number}" for number in range(1, 7)),
    ABLATION.name,
)
_BY_NAME = {experiment.name: experiment for experiment in (*COMPARISONS, *ABLATIONS, ABLATION)}

EXPERIMENTS: dict[str, Experiment] = {name: _BY_NAME[name] for name in _ORDER}
