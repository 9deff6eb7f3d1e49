"""Figures: they draw what the data says, without touching matplotlib's global state."""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

from realnet_edge.errors import DataError
from realnet_edge.report import figures
from realnet_edge.report.evaluation import Evaluation
from realnet_edge.report.rows import ResultRow

Evaluate = Callable[..., Evaluation]


@pytest.fixture
def reference(evaluate: Evaluate, reference_row: ResultRow) -> Evaluation:
    return evaluate(reference_row)


@pytest.fixture
def engine(evaluate: Evaluate, row: ResultRow) -> Evaluation:
    return evaluate(row, noise=0.01)


def words(svg: bytes) -> str:
    """All text of a figure; parsing fails on markup that is not well formed."""
    root = ElementTree.fromstring(svg)  # noqa: S314 - bytes that this test has just drawn
    return "\n".join(
        "".join(node.itertext()).strip() for node in root.iter("{http://www.w3.org/2000/svg}text")
    )


def test_latency_names_engines_medians_and_units(reference: Evaluation, engine: Evaluation) -> None:
    text = words(figures.latency_figure([reference, engine]))
    assert "milliseconds" in text
    for evaluation in (reference, engine):
        assert evaluation.row.backend in text
        assert re.search(rf"^{np.median(evaluation.engine_ms):.3g}$", text, re.MULTILINE)


def test_latency_without_end_to_end_times(engine: Evaluation) -> None:
    alone = replace(engine, end_to_end_ms=np.empty(0))
    assert words(figures.latency_figure([alone])).count(f"{np.median(engine.end_to_end_ms):.1f}") == 0


def test_roc_shows_auroc_and_moves_with_the_threshold(reference: Evaluation, engine: Evaluation) -> None:
    drawn = figures.roc_figure([reference, engine])
    text = words(drawn)
    assert "openvino-int8  88.84%" in text
    assert "(%)" in text
    moved = replace(engine, row=replace(engine.row, threshold=0.9))
    assert figures.roc_figure([reference, moved]) != drawn


def test_roc_needs_both_kinds(engine: Evaluation) -> None:
    with pytest.raises(DataError, match="0 defect"):
        figures.roc_figure([replace(engine, labels=np.zeros_like(engine.labels))])


@pytest.mark.parametrize("scale", [1.0, 1e-4])
def test_scores_show_counts_and_threshold(engine: Evaluation, scale: float) -> None:
    row = replace(engine.row, threshold=0.3 * scale)
    text = words(figures.score_figure(replace(engine, row=row, scores=engine.scores * scale)))
    assert "good (8)" in text
    assert "defect (14)" in text
    assert "threshold 0.300" in text or "threshold 3.0e-05" in text


def test_crowded_scores_get_a_logarithmic_axis(engine: Evaluation) -> None:
    crowded = replace(engine, scores=np.geomspace(1e-6, 1.0, len(engine.scores)))
    power = "10\u22124"
    assert power in "".join(words(figures.score_figure(crowded)).split())
    assert power not in "".join(words(figures.score_figure(engine)).split())


def test_all_scores_zero_can_be_drawn(engine: Evaluation) -> None:
    dead = replace(engine, scores=np.zeros(len(engine.scores)))
    for drawn in (figures.score_figure(dead), figures.roc_figure([dead]), figures.drift_figure(dead, [dead])):
        assert words(drawn)


def test_drift_counts_flipped_decisions(reference: Evaluation, engine: Evaluation) -> None:
    assert engine.row.threshold == 0.3
    scores = reference.scores.copy()
    flipped = np.flatnonzero(scores > 0.3)[:2]
    scores[flipped] = 0.2
    text = words(figures.drift_figure(reference, [replace(engine, scores=scores)]))
    assert "openvino-int8: 2 of 22 flipped" in text


def test_drift_of_five_engines(reference: Evaluation, engine: Evaluation) -> None:
    assert words(figures.drift_figure(reference, [engine] * 5)).count("flipped") == 5


def test_map_difference_of_identical_maps(reference: Evaluation, engine: Evaluation) -> None:
    same = replace(engine, maps=reference.maps)
    assert "openvino-int8" in words(figures.map_difference_figure(reference, [same]))


def test_map_difference_says_what_rounding_hides(reference: Evaluation, engine: Evaluation) -> None:
    assert "1e-07 or less" in words(figures.map_difference_figure(reference, [engine]))
    half = replace(engine, maps=engine.maps.astype(np.float16))
    assert "0.0005 or less" in words(figures.map_difference_figure(reference, [half]))


def test_same_figure_same_bytes_and_no_global_state(reference: Evaluation, engine: Evaluation) -> None:
    before = dict(mpl.rcParams)
    first = figures.drift_figure(reference, [engine])
    assert figures.drift_figure(reference, [engine]) == first
    assert dict(mpl.rcParams) == before


def test_png_has_a_transparent_ground(engine: Evaluation) -> None:
    with Image.open(io.BytesIO(figures.score_figure(engine, "png"))) as image:
        assert image.format == "PNG"
        assert image.getpixel((0, 0))[3] == 0


def test_no_evaluations(reference: Evaluation) -> None:
    for draw in (figures.latency_figure, figures.roc_figure):
        with pytest.raises(DataError, match="at least one"):
            draw([])
    for draw_drift in (figures.drift_figure, figures.map_difference_figure):
        with pytest.raises(DataError, match="at least one"):
            draw_drift(reference, [])


def test_colours_are_readable_on_white_and_near_black() -> None:
    for colour in (figures.GOOD, figures.DEFECT, figures.REFERENCE, *figures._SERIES):
        for ground in ("#ffffff", "#191d23"):
            assert contrast(colour, ground) >= 3.0, (colour, ground)


def contrast(first: str, second: str) -> float:
    """Contrast ratio as WCAG 2.2 defines it."""
    light = sorted((luminance(first), luminance(second)))
    return (light[1] + 0.05) / (light[0] + 0.05)


def luminance(colour: str) -> float:
    parts = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])
