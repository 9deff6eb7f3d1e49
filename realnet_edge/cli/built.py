"""What is said of a bundle that was built."""

from __future__ import annotations

from typing import TYPE_CHECKING

from realnet_edge.cli.output import print_json, say

if TYPE_CHECKING:
    from realnet_edge.bundle import Bundle


def tell_built(bundle: Bundle, as_json: bool) -> None:
    """Arithmetic, threshold, drift and warnings, for people and, if asked for, as one JSON document."""
    from realnet_edge.calibrate.threshold import shortfall

    threshold = bundle.manifest.threshold
    warning = None if threshold is None else shortfall(threshold)
    made = bundle.manifest
    say(f"{bundle.path}: {made.backend} {made.precision}, computes in {made.arithmetic}")
    if made.threshold is not None:
        say(
            f"threshold {made.threshold.value:.4g} for a false-positive rate of "
            f"{made.threshold.target_fpr:.2%}, from {made.threshold.normals} held-out good images"
        )
    if made.drift is not None:
        correlation = made.drift["score_spearman"]
        ranks = "" if correlation is None else f", rank correlation of scores {correlation:.4f}"
        shown = f"{made.drift['images']} {made.drift.get('on', 'good images')}"
        say(
            f"drift from FP32 PyTorch on {shown}: map at most "
            f"{made.drift['map_max_abs']:.2g}, on average {made.drift['map_mean_abs']:.2g}{ranks}"
        )
    if warning:
        say(f"Warning: {warning}")
    if as_json:
        warnings = [warning] if warning else []
        print_json({"path": str(bundle.path), "warnings": warnings, "manifest": made.to_dict()})
