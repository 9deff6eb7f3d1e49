"""Rewrites of an exported graph, one after the other, each named, counted and compared with before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from realnet_edge.errors import ExportError

Probe = Callable[[Any], npt.NDArray[np.float32]]


@dataclass(frozen=True)
class GraphPass:
    """One rewrite.

    Attributes:
        name: what it is called in reports and errors.
        apply: changes an `onnx_ir.Model` in place and says how many places it rewrote.
    """

    name: str
    apply: Callable[[Any], int]


@dataclass(frozen=True)
class PassReport:
    """What one pass did.

    Attributes:
        name: of the pass.
        nodes_before, nodes_after: nodes of the graph.
        rewrites: places that were rewritten.
        max_abs: largest absolute difference of the probe from before the pass; None without a probe.
    """

    name: str
    nodes_before: int
    nodes_after: int
    rewrites: int
    max_abs: float | None


def run_passes(
    model: Any, passes: Sequence[GraphPass], tolerance: float, probe: Probe | None = None
) -> tuple[PassReport, ...]:
    """Apply passes in order, in place.

    Args:
        model: `onnx_ir.Model`.
        passes: what to apply.
        tolerance: largest absolute difference that one pass may make to what the probe gives.
        probe: runs the model on something fixed; called once before, and after every pass that rewrote
            anything. Without it nothing is compared.

    Raises:
        ExportError: a pass changed what the graph computes.
    """
    reports = []
    last = probe(model) if probe else None
    for step in passes:
        before = len(model.graph)
        rewrites = step.apply(model)
        off = None if last is None else 0.0
        if probe and last is not None and rewrites:
            now = probe(model)
            off = float(np.abs(now - last).max())
            # Not `>`: a NaN must fail too.
            if not off <= tolerance:
                raise ExportError(
                    f"pass {step.name} changed the graph's output by {off:.2e}, {tolerance:.0e} is allowed; "
                    "nothing was written."
                )
            last = now
        reports.append(PassReport(step.name, before, len(model.graph), rewrites, off))
    return tuple(reports)


def describe_pass(report: PassReport) -> str:
    """What a pass did, for people."""
    if not report.rewrites:
        return f"{report.name}: nothing to rewrite"
    places = f"{report.rewrites} place{'s' if report.rewrites > 1 else ''}"
    text = f"{report.name}: {places} rewritten, {report.nodes_before} -> {report.nodes_after} nodes"
    return text if report.max_abs is None else f"{text}, map changed by at most {report.max_abs:.1e}"
