from __future__ import annotations

import numpy as np
import pytest

from realnet_edge.errors import DataError
from realnet_edge.synthesis import AnomalySource, CutPasteSource, ForegroundRule, ScratchSource, preview_sheet
from realnet_edge.synthesis.preview import GAP, HEADER


def test_the_sheet_holds_a_row_an_image_and_two_columns_a_source(bar_images: list[np.ndarray]) -> None:
    rule = ForegroundRule.parse("otsu:dark:2:2")
    sources: list[AnomalySource] = [CutPasteSource(), ScratchSource()]
    sheet = preview_sheet(bar_images[:3], rule, sources, np.random.default_rng(0))
    assert sheet.dtype == np.uint8
    assert sheet.shape == (HEADER + 3 * 128 + 2 * GAP, 6 * 96 + 5 * GAP, 3)
    first_row = sheet[HEADER : HEADER + 128]
    cells = [first_row[:, index * (96 + GAP) :][:, :96] for index in range(6)]
    assert np.array_equal(cells[0], bar_images[0])
    assert cells[1][64, 48, 1] > cells[1][64, 48, 0] + 50
    for bare, marked in ((cells[2], cells[3]), (cells[4], cells[5])):
        assert not np.array_equal(bare, bar_images[0])
        changed = (marked != bare).any(axis=2)
        assert changed.any()
        assert (marked[changed] == (230, 40, 40)).all()


def test_nothing_to_show_is_refused(bar_images: list[np.ndarray]) -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(DataError, match="at least one"):
        preview_sheet([], ForegroundRule(), [ScratchSource()], rng)
    with pytest.raises(DataError, match="one size"):
        preview_sheet([bar_images[0], bar_images[1][:50]], ForegroundRule(), [ScratchSource()], rng)
