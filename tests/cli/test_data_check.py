"""`realnet-edge data check` on copies of published data sets, and its contact sheet."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from realnet_edge.cli.main import cli
from realnet_edge.report.contact_sheet import BAND, CELL, GAP, WIDTH

Copy = Callable[..., Path]


@pytest.fixture
def copies(tmp_path: Path, published_copy: Copy) -> Path:
    """BTAD's 01, whole, and a partial 02."""
    published_copy(tmp_path / "btad", "btad", "01", (400, 21, 49))
    published_copy(tmp_path / "btad", "btad", "02", (40, 5, 4))
    return tmp_path / "btad"


def check(data: Path, *more: str) -> Result:
    return CliRunner().invoke(cli, ["data", "check", "--data", str(data), *more])


def row_of(text: str, name: str) -> list[str]:
    """The cells of a table row."""
    (line,) = [line for line in text.splitlines() if line.startswith(f"│ {name}")]
    return [part.strip() for part in line.strip("│").split("│")]


def test_one_table_of_all_categories(copies: Path) -> None:
    result = check(copies)
    assert result.exit_code == 0
    assert result.stdout == ""
    assert row_of(result.stderr, "01") == ["01", "400", "21", "49", "49", "8 x 8", "yes", "none"]
    assert row_of(result.stderr, "02")[:6] == ["02", "40", "5", "4", "4", "8 x 8"]
    assert "no:" in row_of(result.stderr, "02")[6]
    assert "01: a copy of BTAD, recognised by its counts of images." in result.stderr
    assert "02: a copy of BTAD, recognised by 01 beside it (its counts of images)." in result.stderr
    assert "Warning: 02: the copy of BTAD 02 is incomplete: 40 of 399 train good" in result.stderr
    assert "1 of the 3 categories of BTAD are not in" in result.stderr
    assert "2 of 2 categories ready." in result.stderr


def test_one_json_document_of_all_categories(copies: Path) -> None:
    (copies / "02" / "train" / "ok" / "0007.bmp").write_bytes(b"")
    result = check(copies, "--json")
    document = json.loads(result.stdout)
    assert result.exit_code == 1
    assert document["ok"] is False
    assert [entry["category"] for entry in document["categories"]] == ["01", "02"]
    assert [entry["complete"] for entry in document["categories"]] == [True, False]
    assert document["categories"][0]["foreground"] == "btad/01"
    assert "0007.bmp: the file is empty" in document["categories"][1]["problems"][0]
    assert document["missing"] == {"btad": ["03"]}
    assert document["contact_sheet"] is None


def test_a_folder_without_categories_reads_the_same_way(tmp_path: Path) -> None:
    result = check(tmp_path)
    assert result.exit_code == 1
    assert "holds no category" in result.stderr
    as_json = check(tmp_path, "--json")
    assert as_json.exit_code == 1
    assert json.loads(as_json.stdout)["ok"] is False


def test_contact_sheet_of_all_categories(copies: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "sheets" / "all.png"
    result = check(copies, "--contact-sheet", str(sheet), "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["contact_sheet"] == str(sheet)
    with Image.open(sheet) as opened:
        pixels = np.asarray(opened)
    assert pixels.shape == (BAND + 2 * (BAND + CELL + GAP), WIDTH, 3)
    # Nothing is left of the file that it was written to aside.
    assert list(sheet.parent.iterdir()) == [sheet]
    for row, category in enumerate(("01", "02")):
        top = 2 * BAND + row * (BAND + CELL + GAP)
        with Image.open(copies / category / "train" / "ok" / "0000.bmp") as opened:
            first = np.asarray(opened.convert("RGB"))
        # Corners of the squeezed image keep the colours of the file's.
        assert pixels[top, 0].tolist() == first[0, 0].tolist()
        assert pixels[top + CELL - 1, 0].tolist() == first[-1, 0].tolist()
        # A defect's upper left quarter is marked: the line runs beside it, not through it.
        defect = pixels[top : top + CELL, 3 * (CELL + GAP) : 3 * (CELL + GAP) + CELL]
        white = (defect == 255).all(axis=2)
        assert white.any()
        assert not white[: CELL // 2 - 8, : CELL // 2 - 8].any()
        assert not white[CELL // 2 + 8 :, CELL // 2 + 8 :].any()


def test_whole_foreground_of_btad_02_is_green_all_over(copies: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "02.png"
    result = check(copies, "--category", "02", "--contact-sheet", str(sheet))
    assert result.exit_code == 0
    assert "02 (btad layout)" in result.stderr
    with Image.open(sheet) as opened:
        pixels = np.asarray(opened).astype(int)
    first, green = pixels[2 * BAND :, :CELL], pixels[2 * BAND :, 6 * (CELL + GAP) :]
    expected = (first[:CELL] + np.array([0, 200, 80])) // 2
    assert np.abs(expected - green[:CELL]).max() <= 2


def test_images_that_cannot_be_decoded_are_left_out_of_the_sheet(copies: Path, tmp_path: Path) -> None:
    (copies / "02" / "train" / "ok" / "0000.bmp").write_bytes(b"x")
    (copies / "02" / "ground_truth" / "ko" / "0000.png").write_bytes(b"x")
    sheet = tmp_path / "02.png"
    result = check(copies, "--category", "02", "--contact-sheet", str(sheet), "--json")
    assert result.exit_code == 1
    assert len(json.loads(result.stdout)["problems"]) == 2
    with Image.open(sheet) as opened:
        pixels = np.asarray(opened)[2 * BAND : 2 * BAND + CELL]
    for column in (2, 5):
        assert (pixels[:, column * (CELL + GAP) : column * (CELL + GAP) + CELL] == 228).all()


def test_a_picture_of_another_kind_is_refused_before_the_work(copies: Path, tmp_path: Path) -> None:
    result = check(copies, "--contact-sheet", str(tmp_path / "sheet.pdf"))
    assert result.exit_code == 2
    assert "--contact-sheet" in result.stderr
    assert "cannot be written as '.pdf'. Use .png" in result.stderr


def test_no_sheet_where_nothing_can_be_listed(tmp_path: Path) -> None:
    (tmp_path / "nut" / "good").mkdir(parents=True)
    sheet = tmp_path / "sheet.png"
    result = check(tmp_path, "--contact-sheet", str(sheet), "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["contact_sheet"] is None
    assert "was not written" in result.stderr
    assert not sheet.exists()


def test_real_screws(mvtec_root: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "screw.png"
    result = check(mvtec_root / "screw", "--contact-sheet", str(sheet), "--json")
    (screw,) = json.loads(result.stdout)["categories"]
    assert (screw["data_set"], screw["complete"], screw["foreground"]) == ("mvtec", True, "mvtec/screw")
    with Image.open(sheet) as opened:
        pixels = np.asarray(opened).astype(int)
    foreground = pixels[2 * BAND : 2 * BAND + CELL, 6 * (CELL + GAP) :]
    green = foreground[:, :, 1] - foreground[:, :, 0] > 40
    # A screw covers about a seventh of its image, and nothing at its border.
    assert 0.05 < green.mean() < 0.35
    assert green[0].mean() < 0.2
