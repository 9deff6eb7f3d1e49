from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from realnet_edge.data import load_category, make_splits
from realnet_edge.errors import DataError

Copy = Callable[..., Path]


@pytest.fixture
def visa(tmp_path: Path, published_copy: Copy) -> Path:
    """VisA's root with pcb1 (60 good, 12 good and 6 defects to test) and candle."""
    published_copy(tmp_path, "visa", "candle", (35, 4, 3))
    published_copy(tmp_path, "visa", "pcb1", (60, 12, 6))
    return tmp_path


def split_file(root: Path) -> Path:
    return root / "split_csv" / "1cls.csv"


def test_windows_and_unix_line_ends_and_a_byte_order_mark(visa: Path) -> None:
    with_windows = load_category(visa, "pcb1")
    text = split_file(visa).read_bytes()
    assert text.count(b"\r\n") > 100
    for changed in (text.replace(b"\r\n", b"\n"), b"\xef\xbb\xbf" + text):
        split_file(visa).write_bytes(changed)
        assert load_category(visa, "pcb1") == with_windows
    assert (len(with_windows.train), len(with_windows.test), len(with_windows.defects)) == (60, 18, 6)
    assert with_windows.has_masks


def test_a_listed_image_that_is_not_there_is_named(visa: Path) -> None:
    (visa / "pcb1" / "Data" / "Images" / "Normal" / "0005.JPG").unlink()
    (visa / "pcb1" / "Data" / "Images" / "Anomaly" / "002.JPG").unlink()
    pcb1 = load_category(visa, "pcb1")
    assert (len(pcb1.train), len(pcb1.defects)) == (59, 5)
    assert any("2 images that" in gap and "0005.JPG, 002.JPG" in gap for gap in pcb1.gaps)
    # Its mask is still there.
    assert any("1 files in" in gap and "002.png" in gap for gap in pcb1.gaps)


def test_an_image_that_is_not_listed_is_not_used(visa: Path) -> None:
    normal = visa / "pcb1" / "Data" / "Images" / "Normal"
    (normal / "9999.JPG").write_bytes((normal / "0000.JPG").read_bytes())
    pcb1 = load_category(visa, "pcb1")
    assert len(pcb1.train) == 60
    assert any("1 images are not used" in gap and "9999.JPG" in gap for gap in pcb1.gaps)


@pytest.mark.parametrize("how", ["no file", "no row"])
def test_without_a_split_good_images_are_set_aside_by_name(visa: Path, how: str) -> None:
    if how == "no file":
        split_file(visa).unlink()
    else:
        rows = split_file(visa).read_text().splitlines()
        split_file(visa).write_text("\n".join(row for row in rows if not row.startswith("pcb1,")))
    pcb1 = load_category(visa, "pcb1")
    assert pcb1.own_split
    good = [sample.path for sample in pcb1.test if sample.label == 0]
    assert len(good) >= 10
    assert len(good) + len(pcb1.train) == 72
    assert set(good).isdisjoint(pcb1.train)
    assert load_category(visa, "pcb1") == pcb1
    assert "1cls.csv is missing or lists no image of pcb1" in pcb1.gaps[0]
    assert "Copy the split_csv folder" in pcb1.gaps[0]
    assert f"{len(good)} more there are set aside" in pcb1.set_aside
    assert any("72 of 1004 good images" in gap for gap in pcb1.gaps)
    make_splits(pcb1, 0)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("pcb1,train,anomaly,pcb1/Data/Images/Normal/0000.JPG,", "'train', 'anomaly'; valid: train, normal"),
        ("pcb1,train,normal,candle/Data/Images/Normal/0000.JPG,", "does not lie in pcb1/"),
        ("pcb1,train,normal,pcb1/../candle/0000.JPG,", "does not lie in pcb1/"),
        ("pcb1,train,normal,/etc/passwd,", "does not lie in pcb1/"),
        ("pcb1,train,normal", "does not lie in pcb1/"),
        ("pcb1,test,normal,pcb1/Data/Images/Normal/0000.JPG,", "is listed twice"),
    ],
)
def test_rows_that_cannot_be_right_are_refused(visa: Path, row: str, words: str) -> None:
    with split_file(visa).open("a", newline="") as stream:
        stream.write(f"{row}\r\n")
    lines = len(split_file(visa).read_text().splitlines())
    with pytest.raises(DataError) as caught:
        load_category(visa, "pcb1")
    assert words in str(caught.value)
    assert f"1cls.csv, line {lines}:" in str(caught.value)
    # The other category's rows are as they were.
    assert len(load_category(visa, "candle").train) == 35


@pytest.mark.parametrize("text", ["", "image,split\r\nx,train\r\n"])
def test_another_table_is_refused(visa: Path, text: str) -> None:
    split_file(visa).write_text(text)
    with pytest.raises(DataError, match=r"expected 'object,split,label,image,mask'\. Take the file from"):
        load_category(visa, "pcb1")


def test_bytes_that_are_no_text_are_refused(visa: Path) -> None:
    split_file(visa).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="cannot be read as a table"):
        load_category(visa, "pcb1")


def test_nothing_to_train_on_is_an_error(visa: Path) -> None:
    normal = visa / "pcb1" / "Data" / "Images" / "Normal"
    for number in range(60):
        (normal / f"{number:04}.JPG").unlink()
    with pytest.raises(DataError, match="none of the 60 training images"):
        load_category(visa, "pcb1")
