"""Published data sets: their categories, kinds of defects and counts of images, each with its source.

The counts are those of the papers and of the archives as they are handed out. They say whether a copy is
whole, and together with the kinds of defects they are evidence that a folder is such a copy at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

# What defects are called where a data set does not tell their kinds apart.
UNNAMED_KINDS = frozenset({"bad", "ko", "anomaly"})


@dataclass(frozen=True)
class Expected:
    """One published category.

    Attributes:
        train: good images to train on; MVTec AD 2's validation images are among them.
        test_good: good test images.
        defects: defective test images.
        kinds: names of the kinds of defects; empty where the data set does not tell them apart.
        empty_masks: defects whose published mask marks nothing.
    """

    train: int
    test_good: int
    defects: int
    kinds: frozenset[str] = frozenset()
    empty_masks: int = 0

    @property
    def counts(self) -> dict[str, int]:
        """Images by what they are for."""
        return {"train good": self.train, "test good": self.test_good, "defects": self.defects}


@dataclass(frozen=True)
class DataSet:
    """One published data set.

    Attributes:
        name: short name, the first half of a foreground preset's.
        title: as its authors write it.
        source: paper and page; where a copy is completed from.
        layouts: the layouts (as in `CategoryData.layout`) in which copies of it lie.
        own_layout: a layout that no other folder has, so that it is evidence by itself; empty where none is.
        categories: what each category has.
        mark: words that the readme of a copy holds and others do not; empty where copies come without.
    """

    name: str
    title: str
    source: str
    layouts: frozenset[str]
    own_layout: str
    categories: Mapping[str, Expected]
    mark: str = ""


def _table(text: str) -> dict[str, Expected]:
    """Rows of category, good images to train, good ones to test, defects, then kinds of defects."""
    rows = [line.split() for line in text.strip().splitlines()]
    return {
        name: Expected(sum(int(part) for part in train.split("+")), int(good), int(defects), frozenset(kinds))
        for name, train, good, defects, *kinds in rows
    }


_MVTEC = _table(
    """
    bottle      209 20  63 broken_large broken_small contamination
    cable       224 58  92 bent_wire cable_swap combined cut_inner_insulation cut_outer_insulation \
missing_cable missing_wire poke_insulation
    capsule     219 23 109 crack faulty_imprint poke scratch squeeze
    carpet      280 28  89 color cut hole metal_contamination thread
    grid        264 21  57 bent broken glue metal_contamination thread
    hazelnut    391 40  70 crack cut hole print
    leather     245 32  92 color cut fold glue poke
    metal_nut   220 22  93 bent color flip scratch
    pill        267 26 141 color combined contamination crack faulty_imprint pill_type scratch
    screw       320 41 119 manipulated_front scratch_head scratch_neck thread_side thread_top
    tile        230 33  84 crack glue_strip gray_stroke oil rough
    toothbrush   60 12  30 defective
    transistor  213 60  40 bent_lead cut_lead damaged_case misplaced
    wood        247 19  60 color combined hole liquid scratch
    zipper      240 32 119 broken_teeth combined fabric_border fabric_interior rough split_teeth \
squeezed_teeth
    """
)

# train + validation, then the public test set; the private ones have no labels.
_MVTEC_2 = _table(
    """
    can         412+46 72  90
    fabric      387+43 66  90
    fruit_jelly 263+37 20  60
    rice        313+35 42  90
    sheet_metal 137+19 24  90
    vial        291+41 35 105
    wallplugs   293+33 60  90
    walnuts     432+48 60  90
    """
)

# The split of 1cls.csv.
_VISA = _table(
    """
    candle      900 100 100
    capsules    542  60 100
    cashew      450  50 100
    chewinggum  453  50 100
    fryum       450  50 100
    macaroni1   900 100 100
    macaroni2   900 100 100
    pcb1        904 100 100
    pcb2        901 100 100
    pcb3        905 101 100
    pcb4        904 101 100
    pipe_fryum  450  50 100
    """
)

_MPDD = _table(
    """
    bracket_black 289 32 47 hole scratches
    bracket_brown 185 26 51 bend_and_parts_mismatch parts_mismatch
    bracket_white 110 30 30 defective_painting scratches
    connector     128 30 14 parts_mismatch
    metal_plate    54 26 71 major_rust scratches total_rust
    tubes         122 32 69 anomalous
    """
)

_BTAD = {
    "01": Expected(400, 21, 49),
    "02": Expected(399, 30, 200, empty_masks=1),
    "03": Expected(1000, 400, 41, empty_masks=10),
}

DATA_SETS: dict[str, DataSet] = {
    data_set.name: data_set
    for data_set in (
        DataSet(
            "mvtec",
            "MVTec AD",
            "Bergmann et al., CVPR 2019 and IJCV 129 (2021), "
            "https://www.mvtec.com/research-teaching/datasets/mvtec-ad",
            frozenset({"mvtec"}),
            "",
            _MVTEC,
            mark="A Comprehensive Real-World Dataset for Unsupervised Anomaly Detection",
        ),
        DataSet(
            "mvtec2",
            "MVTec AD 2",
            "Heckler-Kram et al., arXiv:2503.21622 (2025), table 4, "
            "https://www.mvtec.com/research-teaching/datasets/mvtec-ad-2",
            frozenset({"mvtec2"}),
            "mvtec2",
            _MVTEC_2,
        ),
        DataSet(
            "visa",
            "VisA",
            "Zou et al., ECCV 2022 (arXiv:2207.14315), split_csv/1cls.csv, "
            "https://github.com/amazon-science/spot-diff",
            # The authors' script makes copies in MVTec layout; those for RealNet's code have ok and ko.
            frozenset({"visa", "mvtec", "btad"}),
            "visa",
            _VISA,
        ),
        DataSet(
            "mpdd",
            "MPDD",
            "Jezek et al., ICUMT 2021 (doi:10.1109/ICUMT54235.2021.9631567), https://github.com/stepanje/MPDD",
            frozenset({"mvtec"}),
            "",
            _MPDD,
        ),
        DataSet(
            "btad",
            "BTAD",
            "Mishra et al., ISIE 2021 (arXiv:2104.10036), https://github.com/pankajmishra000/VT-ADL",
            frozenset({"btad"}),
            "",
            _BTAD,
        ),
    )
}
