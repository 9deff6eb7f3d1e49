"""Running an engine and the reference over the same real images, and how far they differ."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from realnet_edge.data import load_batches
from realnet_edge.metrics import spearman
from realnet_edge.runtime import Prediction, Runner

# (what is being done, steps done, steps in all)
Progress = Callable[[str, int, int], None]


def predict(runner: Runner, files: Sequence[Path], what: str, progress: Progress) -> Prediction:
    """Predictions of an open runner, image by image as a camera loop asks for them.

    Args:
        runner: inside its `with` block.
        files: image files, at least one.
        what: the step's name for `progress`.
        progress: called before the first and after every image.
    """
    found = []
    progress(what, 0, len(files))
    for done, images in enumerate(load_batches(files, runner.input_size, 1), start=1):
        found.append(runner.infer_filled(images, diagnostics=True))
        progress(what, done, len(files))
    return Prediction(
        np.concatenate([p.anomaly_map for p in found]),
        np.concatenate([p.score for p in found]),
        np.concatenate([p.rrs_indices for p in found if p.rrs_indices is not None]),
    )


def drift(engine: Prediction, reference: Prediction) -> dict[str, Any]:
    """How far an engine is from FP32 PyTorch on the same good images.

    Returns:
        images; map_max_abs and map_mean_abs; score_max_abs; score_spearman, None where it is undefined;
        rrs_rank_swaps, the share of places in RRS's order that hold another plane.
    """
    difference = np.abs(engine.anomaly_map - reference.anomaly_map)
    scores = np.abs(engine.score - reference.score)
    correlation = spearman(engine.score, reference.score) if len(scores) > 1 else float("nan")
    swaps = None
    if engine.rrs_indices is not None and reference.rrs_indices is not None:
        swaps = float((engine.rrs_indices != reference.rrs_indices).mean())
    return {
        "reference": "pytorch fp32",
        "images": len(scores),
        "map_max_abs": float(difference.max()),
        "map_mean_abs": float(difference.mean(dtype=np.float64)),
        "score_max_abs": float(scores.max()),
        "score_spearman": None if np.isnan(correlation) else correlation,
        "rrs_rank_swaps": swaps,
    }
