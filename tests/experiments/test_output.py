"""Means over seeds and categories, the table beside the paper's, the JSON document and the curves."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from PIL import Image

from realnet_edge.data import CategoryData
from realnet_edge.experiments.markdown import (
    OWN_MARK,
    SELECTION_NOTE,
    SPLIT_NOTE,
    TEST_SET_MARK,
    TEST_SET_NOTE,
)
from realnet_edge.experiments.output import document, write_experiment
from realnet_edge.experiments.plan import Plan, Request, make_plan
from realnet_edge.experiments.published import EXPERIMENTS
from realnet_edge.experiments.results import RunResult
from realnet_edge.experiments.summary import Estimate, RowSummary, paired, summarise

MakeRequest = Callable[..., Request]
MakeResult = Callable[..., RunResult]


@pytest.fixture
def plan(screw: Path, cells: CategoryData, request_for: MakeRequest) -> Plan:
    """Table 1 on a copy of screw and on cells, which are of no data set, with two seeds."""
    (screw / "cells").symlink_to(cells.root)
    return make_plan(EXPERIMENTS["table1"], request_for(screw, categories=("screw", "cells"), seeds=(0, 1)))


@pytest.fixture
def fill(result_of: MakeResult) -> Callable[..., dict[str, RunResult]]:
    """Results of a plan's runs by (row, category, seed); runs that are not named have none."""

    def make(
        plan: Plan, figures: Mapping[tuple[str, str, int], Mapping[str, float | None]]
    ) -> dict[str, RunResult]:
        runs = {(run.row.name, run.category.name, run.seed): run for run in plan.runs}
        made = [result_of(runs[name], values) for name, values in figures.items()]
        return {row.key: row for row in made}

    return make


def summary_of(plan: Plan, results: dict[str, RunResult], row: str) -> RowSummary:
    return next(summary for summary in summarise(plan, results) if summary.row.name == row)


def test_means_are_over_categories_then_seeds(plan: Plan, fill: Callable[..., dict[str, RunResult]]) -> None:
    results = fill(
        plan,
        {
            ("own", "screw", 0): {"image_auroc": 80.0, "pixel_auroc": 90.0},
            ("own", "screw", 1): {"image_auroc": 84.0, "pixel_auroc": 92.0},
            ("own", "cells", 0): {"image_auroc": 70.0},
            ("own", "cells", 1): {"image_auroc": 70.0},
            ("cutpaste", "screw", 0): {"image_auroc": 60.0, "pixel_auroc": 50.0, "pro_reference": 40.0},
        },
    )
    own = summary_of(plan, results, "own")
    # Seeds' means over the categories are 75 and 77.
    assert own.ours[0] == Estimate(76.0, pytest.approx(2**0.5))
    # Cells have no masks: half of the categories would stand for both.
    assert own.ours[1] is None
    assert own.seeds == (0, 1)
    assert own.same_categories == ()
    assert own.pending == ()
    cutpaste = summary_of(plan, results, "cutpaste")
    assert cutpaste.ours == (Estimate(60.0, None), Estimate(50.0, None), Estimate(40.0, None))
    assert cutpaste.same_categories == (92.74, 98.53, 79.63)
    assert [(run.category.name, run.seed) for run in cutpaste.pending] == [
        ("screw", 1),
        ("cells", 0),
        ("cells", 1),
    ]


def test_a_seed_that_not_all_categories_have_makes_no_deviation(
    plan: Plan, fill: Callable[..., dict[str, RunResult]]
) -> None:
    results = fill(
        plan,
        {
            ("own", "screw", 0): {"image_auroc": 80.0},
            ("own", "screw", 1): {"image_auroc": 90.0},
            ("own", "cells", 0): {"image_auroc": 70.0},
        },
    )
    own = summary_of(plan, results, "own")
    assert own.ours[0] == Estimate(77.5, None)
    assert own.seeds == (0,)


def test_markdown_shows_both_and_says_what_does_not_compare(
    plan: Plan, fill: Callable[..., dict[str, RunResult]], tmp_path: Path
) -> None:
    results = fill(
        plan,
        {
            ("cutpaste", "screw", 0): {"image_auroc": 60, "pixel_auroc": 50, "pro_reference": 40},
            ("cutpaste", "screw", 1): {"image_auroc": 62, "pixel_auroc": 50, "pro_reference": 41},
            ("own", "cells", 0): {"image_auroc": 70.0},
        },
    )
    text, files = write_experiment(tmp_path / "out", plan, results, "demo", ["own, screw: ran\nout"])
    assert files == (tmp_path / "out" / "table1-demo.md",)
    assert files[0].read_text(encoding="utf-8") == text
    lines = text.splitlines()
    assert lines[0] == "# Table 1: anomaly synthesis on MVTec AD"
    for words in (
        SELECTION_NOTE,
        SPLIT_NOTE,
        "- Preset demo is another and smaller network than the paper's.",
        "**A subset: ours is over 2 (screw, cells), the paper's average over all 15 categories of MVTec AD.",
        "- Not of MVTec AD, so without a figure of the paper: cells.",
        "- Rows are over different categories so far; their averages do not compare.",
        "- own, screw: ran out",
        "- CutPaste, cells, seed 0",
    ):
        assert words in text
    assert (
        "| CutPaste | 98.73 / 98.14 / 86.40 | 92.74 / 98.53 / 79.63 | "
        "61.00 ± 1.41 / 50.00 ± 0.00 / 40.50 ± 0.71 | screw | 0, 1 |"
    ) in lines
    assert "| RealNet, source of the preset | - | - | 70.00 / - / - | cells | 0 |" in lines
    (sia,) = [line for line in lines if line.startswith("| SIA |")]
    assert "99.65 / 99.03 / 93.07" in sia
    assert "not available: it needs a folder of SIA images" in sia
    assert (
        "| CutPaste | 92.74 / 98.53 / 79.63 | 61.00 ± 1.41 / 50.00 ± 0.00 / 40.50 ± 0.71 | "
        "80.0 to 95.1; 80.0 to 95.1 | 2, 2 | 0.1, 0.1 |"
    ) in lines
    columns = {line.count("|") for line in lines if line.startswith("|")}
    assert columns == {7}


def test_differences_are_taken_seed_by_seed(
    pair: Path, request_for: MakeRequest, fill: Callable[..., dict[str, RunResult]]
) -> None:
    plan = make_plan(
        EXPERIMENTS["ablation"], request_for(pair, categories=("cells", "panes"), seeds=(0, 1, 2))
    )
    # Seeds differ more from each other than the rows do; seed 2 of one category is not done.
    image = {
        "base": {"cells": (60.0, 80.0, 70.0), "panes": (70.0, 90.0, 80.0)},
        "wider": {"cells": (61.0, 83.0, 99.0), "panes": (71.0, 93.0)},
        "patches": {"cells": (59.0, 79.0)},
    }
    figures = {
        (row, category, seed): {"image_auroc": value, "au_pro": 50.0 + seed}
        for row, categories in image.items()
        for category, values in categories.items()
        for seed, value in enumerate(values)
    }
    results = fill(plan, figures)
    wider = summary_of(plan, results, "wider")
    assert wider.differences == (
        Estimate(pytest.approx(2.0), pytest.approx(2**0.5)),
        None,
        Estimate(pytest.approx(0.0), pytest.approx(0.0)),
    )
    assert summary_of(plan, results, "base").differences == ()
    # One category stands for both in no difference either.
    assert summary_of(plan, results, "patches").differences == (None, None, None)
    in_cells = {"cells": summary_of(plan, results, "patches").results["cells"]}
    base = {"cells": summary_of(plan, results, "base").results["cells"]}
    assert paired(in_cells, base, "image_auroc") == Estimate(-1.0, 0.0)


def test_our_own_ablation_is_not_taken_for_the_papers(
    screw: Path, request_for: MakeRequest, fill: Callable[..., dict[str, RunResult]], tmp_path: Path
) -> None:
    plan = make_plan(EXPERIMENTS["ablation"], request_for(screw, seeds=(0, 1)))
    rows = {"base": (90.0, 91.0), "wider": (90.5, 92.5), "patches": (89.0,)}
    results = fill(
        plan,
        {
            (row, "screw", seed): {"image_auroc": value, "pixel_auroc": 98.0, "au_pro": 80.0}
            for row, values in rows.items()
            for seed, value in enumerate(values)
        },
    )
    text, files = write_experiment(tmp_path / "out", plan, results, "edge", [])
    assert files == (tmp_path / "out" / "ablation-edge.md",)
    lines = text.splitlines()
    assert lines[0] == "# Ablation of this package: one change at a time against the preset as it is"
    assert lines[2] == f"**{OWN_MARK}**"
    assert "image AUROC / pixel AUROC / AU-PRO; accuracy in percent, AU-PRO as MVTec AD defines it" in text
    assert "| setting | ours | difference from base | categories | seeds |" in lines
    assert (
        "| base: the preset as it is | 90.50 ± 0.71 / 98.00 ± 0.00 / 80.00 ± 0.00 | - | screw | 0, 1 |"
        in lines
    )
    wider = "91.50 ± 1.41 / 98.00 ± 0.00 / 80.00 ± 0.00 | +1.00 ± 0.71 / +0.00 ± 0.00 / +0.00 ± 0.00"
    assert f"| U-Nets half as wide again | {wider} | screw | 0, 1 |" in lines
    assert f"| U-Nets half as wide again | {wider} | 80.0 to 95.1; 80.0 to 95.1 | 2, 2 | 0.1, 0.1 |" in lines
    assert "| constant learning rate | not run yet | - | - | - |" in lines
    assert "| without noise on the images | not available: the settings are so already | - | - | - |" in lines
    # Nothing compares with the paper, apart from the line that says so.
    assert "paper" not in text.replace(OWN_MARK, "")
    found = document(plan, results, "edge", [])
    assert found["base"] == "base"
    differences = {row["name"]: row["differences"] for row in found["rows"]}
    assert differences["wider"]["image_auroc"] == {"mean": 1.0, "deviation": pytest.approx(0.5**0.5)}
    assert differences["base"] == {}


def test_whole_data_set_is_no_subset(
    tmp_path: Path, published_copy: Callable[..., Path], request_for: MakeRequest
) -> None:
    for name, counts in (("01", (400, 21, 49)), ("02", (399, 30, 200)), ("03", (1000, 400, 41))):
        published_copy(tmp_path, "btad", name, counts)
    plan = make_plan(EXPERIMENTS["tableS1"], request_for(tmp_path))
    assert not plan.is_subset
    text, _ = write_experiment(tmp_path / "out", plan, {}, "paper", [])
    assert "A subset" not in text
    assert "another and smaller network" not in text
    assert "| RD++ | 95.60 / 97.40 | - | not available: another method" in text
    assert "| VT-ADL | - / 90.00 | - |" in text
    assert "| RealNet, source of the preset | - | - | not run yet | - | - |" in text


def test_rows_that_cannot_be_run_still_show_the_papers_figures(
    cells: CategoryData, request_for: MakeRequest, tmp_path: Path
) -> None:
    plan = make_plan(EXPERIMENTS["table5b"], request_for(cells.root.parent, categories=("cells",)))
    assert plan.runs == ()
    text, _ = write_experiment(tmp_path / "out", plan, {}, "paper", [])
    assert "| s = 0.2 | 99.61 / 98.95 / 89.36 | - | not available: it needs a folder of SIA images" in text


def test_json_holds_all_and_is_json(plan: Plan, fill: Callable[..., dict[str, RunResult]]) -> None:
    results = fill(plan, {("cutpaste", "screw", 0): {"image_auroc": 60.0, "au_pro": 30.0}})
    found = json.loads(json.dumps(document(plan, results, "demo", ["x"]), allow_nan=False))
    assert (found["experiment"], found["preset"], found["subset"]) == ("table1", "demo", True)
    assert found["failed"] == ["x"]
    assert SELECTION_NOTE in found["notes"]
    rows = {row["name"]: row for row in found["rows"]}
    assert rows["sia"]["not_available"].endswith("--sia")
    assert rows["sia"]["paper_by_category"]["screw"]["pro_reference"] == 87.9
    cutpaste = rows["cutpaste"]
    assert cutpaste["not_available"] is None
    assert cutpaste["paper"] == {"image_auroc": 98.73, "pixel_auroc": 98.14, "pro_reference": 86.4}
    assert cutpaste["ours"] == {
        "image_auroc": {"mean": 60.0, "deviation": None},
        "pixel_auroc": None,
        "pro_reference": None,
    }
    assert cutpaste["results"][0]["au_pro"] == 30.0
    assert len(cutpaste["pending"]) == 3


def test_sizes_are_compared_and_speed_is_not(
    screw: Path, request_for: MakeRequest, fill: Callable[..., dict[str, RunResult]]
) -> None:
    plan = make_plan(EXPERIMENTS["tableS4"], request_for(screw))
    results = fill(plan, {("a", "screw", 0): {"image_auroc": 60.0, "size_gib": 0.25}})
    assert summary_of(plan, results, "a").ours[:3] == (None, Estimate(0.25, None), Estimate(60.0, None))


def test_figure5_is_drawn_once_there_is_a_point(
    screw: Path, request_for: MakeRequest, fill: Callable[..., dict[str, RunResult]], tmp_path: Path
) -> None:
    plan = make_plan(EXPERIMENTS["figure5"], request_for(screw))
    _, files = write_experiment(tmp_path / "out", plan, {}, "demo", [])
    assert [file.suffix for file in files] == [".md"]
    results = fill(
        plan,
        {
            (name, "screw", 0): {"image_auroc": 60.0 + place, "pixel_auroc": 70.0, "pro_reference": 50.0}
            for place, name in enumerate(("max-1-6", "max-1-3", "both-1-3"))
        },
    )
    text, files = write_experiment(tmp_path / "out", plan, results, "demo", [])
    assert (
        "| Max&Avg, 1/3 kept | 99.65 / 99.03 / 93.07 | 98.83 / 99.45 / 87.90 | 62.00 / 70.00 / 50.00 |"
        in text
    )
    with Image.open(tmp_path / "out" / "figure5-demo.png") as picture:
        assert picture.size[0] > 1000
        assert len(picture.convert("RGB").getcolors(1 << 24) or []) > 50
    assert len(files) == 2


def test_figures_of_checkpoints_chosen_on_the_test_set_are_marked_and_never_mixed(
    screw: Path, request_for: MakeRequest, fill: Callable[..., dict[str, RunResult]], tmp_path: Path
) -> None:
    request = request_for(screw)
    usual = make_plan(EXPERIMENTS["figure5"], request)
    paper = make_plan(EXPERIMENTS["figure5"], dataclasses.replace(request, checkpoint_by="test-set"))
    good = {("both-1-3", "screw", 0): {"image_auroc": 60.0, "pixel_auroc": 70.0, "pro_reference": 50.0}}
    better = {("both-1-3", "screw", 0): {"image_auroc": 80.0, "pixel_auroc": 90.0, "pro_reference": 70.0}}
    both = {**fill(usual, good), **fill(paper, better)}
    pictures = []
    for plan, shown, file in (
        (usual, "60.00 / 70", "figure5-demo"),
        (paper, "80.00 / 90", "figure5-demo-test-set"),
    ):
        text, files = write_experiment(tmp_path / "out", plan, both, "demo", [])
        assert [f.name for f in files] == [f"{file}.md", f"{file}.png"]
        (line,) = [line for line in text.splitlines() if line.startswith("| Max&Avg, 1/3 kept | 99.65")]
        assert shown in line
        assert (TEST_SET_MARK in text) == (TEST_SET_NOTE in text) == (plan is paper)
        assert (SELECTION_NOTE in text) == (plan is usual)
        # In the heading of every table of ours, and above them all.
        assert text.count(TEST_SET_MARK) == (3 if plan is paper else 0)
        assert document(plan, both, "demo", [])["checkpoint_by"] == plan.checkpoint_by
        pictures.append(files[1].read_bytes())
    assert pictures[0] != pictures[1]
