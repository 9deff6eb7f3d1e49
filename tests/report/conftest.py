"""Evaluations as a benchmark would hand them over: drawn parts, with and without defects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from realnet_edge.report.evaluation import Evaluation
from realnet_edge.report.rows import ResultRow

GOOD, DEFECTS, SIDE = 8, 14, 48


@pytest.fixture
def row() -> ResultRow:
    """A full row: an engine that passed."""
    return ResultRow(
        category="screw",
        backend="openvino",
        precision="int8",
        arithmetic="int8 + bf16",
        device="Example CPU, 2 cores",
        versions="realnet-edge 0.1.0, openvino 2026.4.0",
        batch=1,
        images=GOOD + DEFECTS,
        latency_ms_p50=19.84,
        latency_ms_p90=21.2,
        latency_ms_p99=27.7,
        fps=49.8,
        e2e_ms_p50=24.2,
        e2e_ms_p90=26.5,
        e2e_ms_p99=35.0,
        e2e_fps=40.6,
        peak_memory_mb=612.5,
        image_auroc=88.84,
        image_auroc_low=71.2,
        image_auroc_high=99.4,
        image_auroc_max=86.2,
        image_auroc_avgpool16=88.84,
        image_ap=94.12,
        image_ap_low=85.1,
        image_ap_high=99.7,
        image_f1_max=90.91,
        image_f1_max_low=83.3,
        image_f1_max_high=98.4,
        pixel_auroc=98.33,
        pixel_auroc_low=97.8,
        pixel_auroc_high=98.71,
        au_pro=93.11,
        au_pro_low=90.6,
        au_pro_high=95.2,
        pro_reference=91.8,
        pro_reference_low=88.9,
        pro_reference_high=94.3,
        pixel_ap=41.37,
        pixel_ap_low=30.2,
        pixel_ap_high=52.6,
        pixel_f1_max=45.2,
        pixel_f1_max_low=37.7,
        pixel_f1_max_high=53.1,
        drift_image_auroc_points=-0.28,
        drift_image_auroc_low=-1.31,
        drift_image_auroc_high=0.62,
        drift_pixel_auroc_points=-0.08,
        drift_pixel_auroc_low=-0.13,
        drift_pixel_auroc_high=-0.02,
        drift_au_pro_points=0.0,
        drift_au_pro_low=-0.21,
        drift_au_pro_high=0.2,
        drift_map_max_abs=0.17,
        drift_map_mean_abs=1.8e-3,
        drift_score_spearman=0.9961,
        drift_decisions_flipped=3,
        drift_rrs_rank_swaps=33.4,
        drift_rrs_exchanged=6.25,
        threshold=0.3,
        budget=0.99,
        verdict="pass",
        size_mb=47.6,
    )


@pytest.fixture
def reference_row(row: ResultRow) -> ResultRow:
    """FP32 PyTorch's row: slower, no drift."""
    drift: dict[str, Any] = {name: 0.0 for name in row.to_dict() if name.startswith("drift_")}
    drift |= {"drift_decisions_flipped": 0, "drift_score_spearman": 1.0}
    return replace(
        row,
        backend="pytorch",
        precision="fp32",
        arithmetic="fp32",
        latency_ms_p50=200.0,
        latency_ms_p90=210.0,
        latency_ms_p99=240.0,
        fps=4.9,
        e2e_ms_p50=206.0,
        e2e_ms_p90=216.0,
        e2e_ms_p99=250.0,
        e2e_fps=4.8,
        image_auroc=89.12,
        verdict="reference",
        **drift,
    )


@pytest.fixture
def evaluate(tmp_path: Path) -> Callable[..., Evaluation]:
    """Make an evaluation for a row: the same images every time, maps that depart by `noise`."""
    paths = []
    masks = np.zeros((GOOD + DEFECTS, SIDE, SIDE), dtype=np.bool_)
    for index in range(GOOD + DEFECTS):
        picture = np.full((SIDE, SIDE, 3), 170, dtype=np.uint8)
        cv2.circle(picture, (24, 24), 15, (90, 95, 100), -1)
        if index >= GOOD:
            x = 12 + index
            picture[20:26, x - 3 : x + 3] = 230
            masks[index, 20:26, x - 3 : x + 3] = True
        path = tmp_path / f"{index:03d}.png"
        Image.fromarray(picture).save(path)
        paths.append(path)

    def make(row: ResultRow, noise: float = 0.0, with_masks: bool = True) -> Evaluation:
        rng = np.random.default_rng(7)
        strength = np.concatenate([np.linspace(0.02, 0.4, GOOD), np.linspace(0.1, 0.95, DEFECTS)])
        blobs = np.stack([cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 2) for mask in masks])
        blobs[:GOOD, 10, 10] = 1.0
        maps = blobs / blobs.max(axis=(1, 2), keepdims=True) * strength[:, None, None]
        maps = np.clip(maps + noise * rng.standard_normal(maps.shape), 0, 1).astype(np.float32)
        return Evaluation(
            row=row,
            paths=tuple(paths),
            names=tuple(f"{'good' if i < GOOD else 'scratch'}/{p.name}" for i, p in enumerate(paths)),
            labels=np.array([0] * GOOD + [1] * DEFECTS),
            scores=maps.max(axis=(1, 2)),
            maps=maps,
            masks=masks if with_masks else None,
            engine_ms=row.latency_ms_p50 * (1 + rng.gamma(1.2, 0.03, 60)),
            end_to_end_ms=(row.e2e_ms_p50 or 1.0) * (1 + rng.gamma(1.2, 0.04, 40)),
        )

    return make
