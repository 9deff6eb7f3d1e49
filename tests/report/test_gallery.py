"""The images worth a look: the right ones, in the right order, with the right decision."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from realnet_edge.errors import DataError
from realnet_edge.report.evaluation import Evaluation
from realnet_edge.report.gallery import LARGEST_SIDE, gallery
from realnet_edge.report.rows import ResultRow

Evaluate = Callable[..., Evaluation]


def test_sections_hold_the_extremes_in_order(
    evaluate: Evaluate, row: ResultRow, reference_row: ResultRow
) -> None:
    engine, reference = evaluate(row), evaluate(reference_row)
    maps = engine.maps.copy()
    maps[11] = np.clip(maps[11] + 0.4, 0, 1)
    sections = {s.title: s for s in gallery(replace(engine, maps=maps), reference, count=3)}
    names = {title: [p.name for p in section.pictures] for title, section in sections.items()}
    assert names["Lowest-scored defects"] == ["scratch/008.png", "scratch/009.png", "scratch/010.png"]
    assert names["Highest-scored good images"] == ["good/007.png", "good/006.png", "good/005.png"]
    assert names["Clearest finds"] == ["scratch/021.png", "scratch/020.png", "scratch/019.png"]
    assert names["Largest drift"][0] == "scratch/011.png"
    assert [len(p.views) for p in sections["Largest drift"].pictures] == [3, 3, 3]
    assert "map difference 0.400" in sections["Largest drift"].pictures[0].facts


def test_decisions_and_counts(evaluate: Evaluate, row: ResultRow) -> None:
    misses, alarms, _ = gallery(evaluate(row), None)
    assert misses.pictures[0].facts[0] == "missed defect"
    assert misses.pictures[0].wrong
    assert alarms.pictures[0].facts[0] == "false alarm"
    assert alarms.pictures[-1].facts[0] == "good, passed"
    assert not alarms.pictures[-1].wrong
    assert "2 of 8 are false alarms" in alarms.note
    undecided = evaluate(replace(row, threshold=None))
    assert not any(p.wrong for section in gallery(undecided, None) for p in section.pictures)


def test_pictures_are_small_webp_and_keep_their_shape(evaluate: Evaluate, row: ResultRow) -> None:
    evaluation = evaluate(row)
    Image.new("RGB", (900, 300), "grey").save(evaluation.paths[8])
    picture = gallery(evaluation, None)[0].pictures[0]
    for _, _, data in picture.views:
        with Image.open(io.BytesIO(data)) as image:
            assert (image.format, image.size) == ("WEBP", (LARGEST_SIDE, 85))


def test_without_masks_no_outline_is_promised(evaluate: Evaluate, row: ResultRow) -> None:
    described = [p.views[1][1] for p in gallery(evaluate(row), None)[0].pictures]
    assert all("white line" in words for words in described)
    described = [p.views[1][1] for p in gallery(evaluate(row, with_masks=False), None)[0].pictures]
    assert not any("white line" in words for words in described)


def test_a_lost_image_is_named(evaluate: Evaluate, row: ResultRow) -> None:
    evaluation = evaluate(row)
    evaluation.paths[8].unlink()
    with pytest.raises(DataError, match=r"008\.png"):
        gallery(evaluation, None)
