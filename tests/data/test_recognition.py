from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from realnet_edge.data import DATA_SETS, load_category
from realnet_edge.errors import DataError

Copy = Callable[..., Path]
README = "Please cite: A Comprehensive Real-World Dataset for\nUnsupervised Anomaly Detection, 2019"


def whole(data_set: str, category: str) -> tuple[tuple[int, int, int], tuple[str, ...]]:
    entry = DATA_SETS[data_set].categories[category]
    return (entry.train, entry.test_good, entry.defects), tuple(sorted(entry.kinds)) or ("bad",)


@pytest.mark.parametrize(
    ("data_set", "layout", "category", "evidence"),
    [
        ("mvtec", "mvtec", "toothbrush", "its counts of images"),
        ("mpdd", "mvtec", "connector", "its counts of images"),
        ("btad", "btad", "01", "its counts of images"),
        ("visa", "mvtec", "cashew", "its counts of images"),
        ("visa", "visa", "cashew", "its layout"),
        ("mvtec2", "mvtec2", "sheet_metal", "its layout"),
    ],
)
def test_a_whole_copy_is_recognised_and_has_no_gap(
    tmp_path: Path, published_copy: Copy, data_set: str, layout: str, category: str, evidence: str
) -> None:
    published_copy(tmp_path, layout, category, *whole(data_set, category))
    loaded = load_category(tmp_path, category)
    assert loaded.recognition is not None
    assert (loaded.data_set, loaded.recognition.evidence, loaded.gaps) == (data_set, evidence, ())
    assert loaded.foreground == f"{data_set}/{category}"


def test_real_screws_are_recognised(mvtec_root: Path) -> None:
    screw = load_category(mvtec_root, "screw")
    assert screw.recognition is not None
    assert (screw.foreground, screw.gaps) == ("mvtec/screw", ())


@pytest.mark.parametrize(
    ("counts", "kinds"),
    [
        # Counts and kinds of one's own.
        ((45, 6, 5), ("bent", "rust")),
        # Two of the published kinds are names that anybody would give.
        ((45, 6, 6), ("scratch_head", "scratch_neck")),
        # A line that makes 320 images by chance.
        ((320, 0, 0), ("x",)),
        # The published counts, but a kind that nobody published.
        ((320, 41, 119), ("manipulated_front", "rust")),
        # More than were published.
        ((321, 41, 119), ("manipulated_front", "scratch_head", "scratch_neck", "thread_side", "thread_top")),
    ],
)
def test_screws_of_ones_own_are_not_taken_for_published_ones(
    tmp_path: Path, published_copy: Copy, counts: tuple[int, int, int], kinds: tuple[str, ...]
) -> None:
    published_copy(tmp_path, "mvtec", "screw", counts, kinds)
    screw = load_category(tmp_path, "screw")
    assert (screw.recognition, screw.data_set, screw.foreground, screw.gaps) == (None, "", None, ())


def test_a_kind_of_ones_own_outweighs_a_readme(tmp_path: Path, published_copy: Copy) -> None:
    folder = published_copy(tmp_path, "mvtec", "screw", (45, 6, 5), ("rust",))
    (folder / "readme.txt").write_text(README)
    assert load_category(tmp_path, "screw").recognition is None


def test_plain_folders_and_other_names_are_ones_own(tmp_path: Path, published_copy: Copy) -> None:
    counts, kinds = whole("mvtec", "toothbrush")
    folder = published_copy(tmp_path, "mvtec", "toothbrush", counts, kinds)
    assert load_category(folder, "toothbrush").data_set == "mvtec"
    assert load_category(folder, "brush").recognition is None
    shutil.copytree(folder / "train" / "good", tmp_path / "plain" / "toothbrush" / "good")
    assert load_category(tmp_path / "plain", "toothbrush").recognition is None


@pytest.mark.parametrize("where", ["screw", "."])
def test_a_readme_that_cites_the_paper_is_evidence(tmp_path: Path, published_copy: Copy, where: str) -> None:
    published_copy(tmp_path, "mvtec", "screw", (45, 6, 5), ("thread_top",))
    (tmp_path / where / "readme.txt").write_text(README)
    screw = load_category(tmp_path, "screw")
    assert screw.recognition is not None
    assert screw.recognition.evidence == "its readme"


def test_all_published_kinds_are_evidence(tmp_path: Path, published_copy: Copy) -> None:
    _, kinds = whole("mvtec", "screw")
    published_copy(tmp_path, "mvtec", "screw", (45, 6, 10), kinds)
    screw = load_category(tmp_path, "screw")
    assert screw.recognition is not None
    assert screw.recognition.evidence == "its kinds of defects"


def test_numbered_stations_are_not_btad_but_one_whole_category_makes_the_others_so(
    tmp_path: Path, published_copy: Copy
) -> None:
    published_copy(tmp_path, "btad", "01", (40, 5, 5))
    published_copy(tmp_path, "btad", "02", (40, 5, 5))
    assert load_category(tmp_path, "01").recognition is None
    shutil.rmtree(tmp_path / "02")
    published_copy(tmp_path, "btad", "02", *whole("btad", "02"))
    loaded = load_category(tmp_path, "01")
    assert loaded.recognition is not None
    assert loaded.recognition.evidence == "02 beside it (its counts of images)"
    assert "40 of 400 train good, 5 of 21 test good, 5 of 49 defects" in loaded.gaps[0]


def test_training_images_of_three_categories_are_evidence_for_all(
    tmp_path: Path, published_copy: Copy
) -> None:
    for category in ("metal_plate", "connector"):
        published_copy(tmp_path, "mvtec", category, (whole("mpdd", category)[0][0], 0, 0))
    published_copy(tmp_path, "mvtec", "tubes", (40, 0, 0))
    assert load_category(tmp_path, "tubes").recognition is None
    published_copy(tmp_path, "mvtec", "bracket_white", (110, 0, 0))
    tubes = load_category(tmp_path, "tubes")
    assert tubes.recognition is not None
    assert "bracket_white, connector, metal_plate" in tubes.recognition.evidence


def test_what_a_partial_copy_lacks_is_named(tmp_path: Path, published_copy: Copy) -> None:
    counts, kinds = whole("mvtec", "screw")
    folder = published_copy(tmp_path, "mvtec", "screw", counts, kinds)
    shutil.rmtree(folder / "test" / "thread_top")
    (folder / "ground_truth" / "scratch_head" / "003_mask.png").unlink()
    screw = load_category(tmp_path, "screw")
    images, orphans, masks = screw.gaps
    gone = counts[2] - len(screw.defects)
    assert gone == 23
    assert f"{counts[2] - gone} of 119 defects; no image of thread_top" in images
    assert "train good" not in images
    assert "Unpack the data set's archive again (Bergmann" in images
    assert "23 files in" in orphans
    assert "1 of 96 defects have no mask" in masks
    assert "scratch_head/003.png" in masks
    # Whole images can still be measured.
    assert not screw.has_masks
    assert len(screw.train) == 320


def test_ones_own_folder_still_has_to_have_all_masks(tmp_path: Path, published_copy: Copy) -> None:
    folder = published_copy(tmp_path, "mvtec", "screw", (45, 6, 6), ("rust", "bent"))
    (folder / "ground_truth" / "rust" / "001_mask.png").unlink()
    with pytest.raises(DataError, match="1 of 6 defects have no mask"):
        load_category(tmp_path, "screw")


def test_a_damaged_category_beside_it_does_no_harm(tmp_path: Path, published_copy: Copy) -> None:
    published_copy(tmp_path, "mvtec", "screw", (45, 6, 5), ("thread_top",))
    (tmp_path / "bottle" / "train" / "good").mkdir(parents=True)
    assert load_category(tmp_path, "screw").recognition is None
