from __future__ import annotations

from realnet_edge.data import DATA_SETS
from realnet_edge.synthesis import PRESETS


def test_every_published_rule_is_of_a_known_category_and_the_other_way_round() -> None:
    known = {f"{name}/{category}" for name, data in DATA_SETS.items() for category in data.categories}
    without = {f"mvtec2/{category}" for category in DATA_SETS["mvtec2"].categories}
    assert known - without == set(PRESETS)


def test_totals_are_those_of_the_papers() -> None:
    totals = {
        name: tuple(
            map(sum, zip(*(entry.counts.values() for entry in data.categories.values()), strict=True))
        )
        for name, data in DATA_SETS.items()
    }
    assert totals == {
        "mvtec": (3629, 467, 1258),
        "mvtec2": (2528 + 302, 379, 705),
        "visa": (8659, 962, 1200),
        "mpdd": (888, 176, 282),
        "btad": (1799, 451, 290),
    }


def test_no_category_is_in_two_data_sets() -> None:
    names = [category for data in DATA_SETS.values() for category in data.categories]
    assert len(names) == len(set(names)) == 15 + 8 + 12 + 6 + 3


def test_every_data_set_names_its_source_and_mvtec_its_kinds() -> None:
    assert all("https://" in data.source for data in DATA_SETS.values())
    # As many as the paper counts.
    assert sum(len(entry.kinds) for entry in DATA_SETS["mvtec"].categories.values()) == 73
