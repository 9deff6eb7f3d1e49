from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from realnet_edge.errors import DataError
from realnet_edge.report.contact_sheet import BAND, CELL, GAP, WIDTH, SheetRow, contact_sheet

Picture = npt.NDArray[np.uint8]


def flat(level: int, size: tuple[int, int] = (64, 64)) -> Picture:
    return np.full((*size, 3), level, np.uint8)


def half(size: tuple[int, int] = (64, 64)) -> npt.NDArray[np.bool_]:
    """Marks the middle of the image."""
    mask = np.zeros(size, np.bool_)
    mask[size[0] // 4 : 3 * size[0] // 4, size[1] // 4 : 3 * size[1] // 4] = True
    return mask


def cell(sheet: Picture, row: int, column: int) -> Picture:
    top, left = 2 * BAND + row * (BAND + CELL + GAP), column * (CELL + GAP)
    return sheet[top : top + CELL, left : left + CELL]


def test_every_picture_is_in_its_place() -> None:
    good = (flat(10), flat(20, (30, 90)), flat(30), flat(99))
    defects = ((flat(40), half()), (flat(50), None))
    sheet = contact_sheet(
        [
            SheetRow("first", good, defects, (flat(60), half())),
            SheetRow("second", (flat(70),), (), None),
        ]
    )
    assert sheet.shape == (BAND + 2 * (BAND + CELL + GAP), WIDTH, 3)
    assert sheet.dtype == np.uint8
    for column, level in enumerate((10, 20, 30)):
        assert (cell(sheet, 0, column) == level).all()
    assert (cell(sheet, 0, 4) == 50).all()
    assert (cell(sheet, 1, 0) == 70).all()
    # What there is no picture for is one flat grey, lighter than the pictures and darker than paper.
    for row, column in ((0, 5), (1, 1), (1, 3), (1, 6)):
        assert np.unique(cell(sheet, row, column)).tolist() == [228]
    # The fourth good image is not shown.
    assert not any((cell(sheet, 0, column) == 99).all() for column in range(7))


def test_a_mask_is_outlined_and_what_it_marks_stays_visible() -> None:
    shown = cell(contact_sheet([SheetRow("x", (), ((flat(40), half()),), None)]), 0, 3)
    middle = shown[CELL // 4 + 2 : 3 * CELL // 4 - 2, CELL // 4 + 2 : 3 * CELL // 4 - 2]
    assert (middle == 40).all()
    white = np.argwhere((shown == 255).all(axis=2))
    assert len(white) > 2 * CELL
    # The line lies a few pixels outside the marked half.
    assert CELL // 4 - 5 <= white.min() < CELL // 4
    assert 3 * CELL // 4 <= white.max() <= 3 * CELL // 4 + 5


def test_an_empty_mask_draws_nothing() -> None:
    empty = np.zeros((64, 64), np.bool_)
    assert (cell(contact_sheet([SheetRow("x", (), ((flat(40), empty),), None)]), 0, 3) == 40).all()


def test_the_foreground_is_green_and_the_rest_as_it_was() -> None:
    shown = cell(contact_sheet([SheetRow("x", (), (), (flat(60), half()))]), 0, 6)
    assert shown[CELL // 2, CELL // 2].tolist() == [30, 130, 70]
    assert shown[5, 5].tolist() == [60, 60, 60]
    assert (shown[:, :, 1] > shown[:, :, 0]).mean() == pytest.approx(0.25, abs=0.02)


def test_captions_are_drawn_and_differ() -> None:
    one, other = (contact_sheet([SheetRow(words, (), (), None)]) for words in ("bottle", "carpet é"))
    assert (one[:BAND] == other[:BAND]).all()
    assert (one[:BAND] < 128).any()
    assert (one[BAND : 2 * BAND] != other[BAND : 2 * BAND]).any()


def test_no_rows_and_a_foreground_of_another_size_are_refused() -> None:
    with pytest.raises(DataError, match="at least one category"):
        contact_sheet([])
    with pytest.raises(DataError, match=r"foreground of \(32, 32\) does not fit an image of \(64, 64\)"):
        contact_sheet([SheetRow("x", (), (), (flat(1), half((32, 32))))])
