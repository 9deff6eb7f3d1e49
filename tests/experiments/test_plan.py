"""Which runs are planned on which data, and what makes two runs the same."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from realnet_edge.data import CategoryData, load_category
from realnet_edge.errors import ConfigError, DataError
from realnet_edge.experiments.plan import Request, Run, make_plan
from realnet_edge.experiments.published import EXPERIMENTS
from realnet_edge.experiments.settings import Settings

MakeRequest = Callable[..., Request]


def test_a_run_for_each_row_category_and_seed(cells: CategoryData, request_for: MakeRequest) -> None:
    request = request_for(cells.root.parent, categories=("cells",), seeds=(0, 7))
    plan = make_plan(EXPERIMENTS["table3"], request)
    assert [(run.row.name, run.category.name, run.seed) for run in plan.runs] == [
        ("cutpaste", "cells", 0),
        ("cutpaste", "cells", 7),
        ("own", "cells", 0),
        ("own", "cells", 7),
    ]
    assert set(plan.unavailable) == {"sia", "dtd"}
    assert "--sia" in plan.unavailable["sia"]
    assert "--textures" in plan.unavailable["dtd"]
    assert plan.is_subset
    assert plan.compared == ()


def test_only_wanted_rows_are_to_run_and_the_others_stay_in_the_plan(
    cells: CategoryData, request_for: MakeRequest
) -> None:
    request = request_for(cells.root.parent, categories=("cells",), seeds=(0, 7))
    table3 = EXPERIMENTS["table3"]
    assert make_plan(table3, request).to_run == make_plan(table3, request).runs
    plan = make_plan(table3, dataclasses.replace(request, rows=("own",)))
    assert [(run.row.name, run.seed) for run in plan.to_run] == [("own", 0), ("own", 7)]
    assert plan.runs == make_plan(table3, request).runs
    compared = make_plan(EXPERIMENTS["ablation"], dataclasses.replace(request, rows=("larger", "wider")))
    assert {run.row.name for run in compared.to_run} == {"base", "larger", "wider"}
    with pytest.raises(ConfigError, match="Table 3 has no row 'mine'; it has sia, dtd, cutpaste, own"):
        make_plan(table3, dataclasses.replace(request, rows=("own", "mine")))


def test_textures_make_rows_available(cells: CategoryData, request_for: MakeRequest) -> None:
    request = request_for(cells.root.parent, categories=("cells",), textures=cells.root)
    plan = make_plan(EXPERIMENTS["table3"], request)
    assert plan.runs[0].settings.synthesis.source == f"textures={cells.root.resolve()}:1"
    assert set(plan.unavailable) == {"sia"}


def test_sia_images_are_those_of_the_category_where_the_folder_has_them(
    pair: Path, request_for: MakeRequest, tmp_path: Path
) -> None:
    (tmp_path / "cells").mkdir()
    plan = make_plan(
        EXPERIMENTS["table3"], request_for(pair, categories=("cells", "panes"), sia={"": tmp_path})
    )
    sources = {run.category.name: run.settings.synthesis.source for run in plan.runs if run.row.name == "sia"}
    assert sources == {"cells": f"sia={tmp_path / 'cells'}:1", "panes": f"sia={tmp_path}:1"}
    assert set(plan.unavailable) == {"dtd"}


def test_nsa_has_the_settings_published_for_the_category(
    screw: Path, cells: CategoryData, request_for: MakeRequest
) -> None:
    (screw / "cells").symlink_to(cells.root)
    plan = make_plan(EXPERIMENTS["table1"], request_for(screw, categories=("screw", "cells")))
    sources = {run.category.name: run.settings.synthesis.source for run in plan.runs if run.row.name == "nsa"}
    assert sources == {"screw": "nsa=mvtec/screw:1", "cells": "nsa"}


def test_only_categories_of_the_data_set_are_taken_unasked(screw: Path, request_for: MakeRequest) -> None:
    plan = make_plan(EXPERIMENTS["table1"], request_for(screw))
    assert [category.name for category in plan.compared] == ["screw"]
    (sentence,) = plan.skipped
    assert sentence.startswith(f"Not in {screw}: bottle, cable,")
    assert "screw" not in sentence
    with pytest.raises(DataError, match="screw: no category of MPDD; --category screw runs it all the same"):
        make_plan(EXPERIMENTS["table3"], request_for(screw))
    asked = make_plan(EXPERIMENTS["table3"], request_for(screw, categories=("screw",)))
    assert {run.category.name for run in asked.runs} == {"screw"}
    assert asked.compared == ()


def test_missing_and_unusable_categories_are_named(
    cells: CategoryData, request_for: MakeRequest, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "cells").symlink_to(cells.root)
    (data / "untested/train").mkdir(parents=True)
    (data / "untested/train/good").symlink_to(cells.root / "train/good")
    request = request_for(data, categories=("gone", "untested", "cells", "cells"))
    plan = make_plan(EXPERIMENTS["table1"], request)
    assert [category.name for category in plan.categories] == ["cells"]
    gone, untested = plan.skipped
    assert gone.startswith("gone: ")
    assert "no category 'gone'" in gone
    assert untested.startswith("untested: ")
    assert "no good test images" in untested


def test_a_row_that_the_settings_do_not_allow_says_why(cells: CategoryData, request_for: MakeRequest) -> None:
    plan = make_plan(EXPERIMENTS["tableS3"], request_for(cells.root.parent, categories=("cells",)))
    assert "image_size is 64" in plan.unavailable["resnet34"]
    assert {run.row.name for run in plan.runs} == {"efficientnet-b4"}


def test_rows_of_strengths_take_the_folder_of_their_own(
    cells: CategoryData, request_for: MakeRequest, tmp_path: Path
) -> None:
    given = {"": tmp_path, "0": tmp_path / "none", "0.1:0.2": tmp_path / "both"}
    (tmp_path / "both" / "cells").mkdir(parents=True)
    plan = make_plan(EXPERIMENTS["table5b"], request_for(cells.root.parent, categories=("cells",), sia=given))
    assert {run.row.name: run.settings.synthesis.source for run in plan.runs} == {
        "strength-1": f"sia={tmp_path / 'none'}:1",
        "strength-4": f"sia={tmp_path / 'both' / 'cells'}:1",
    }
    reason = plan.unavailable["strength-2"]
    assert reason == "it needs a folder of SIA images of strength 0.1: give it with --sia 0.1=FOLDER"
    assert set(plan.unavailable) == {"strength-2", "strength-3"}


def test_an_ablation_leaves_out_what_changes_nothing_or_does_not_fit(
    cells: CategoryData, request_for: MakeRequest
) -> None:
    plan = make_plan(EXPERIMENTS["ablation"], request_for(cells.root.parent, categories=("cells",)))
    assert plan.runs[0].row.name == "base"
    assert plan.runs[0].settings == plan.base
    assert set(plan.unavailable) == {"no-bends", "no-noise", "ema", "joint", "not-aligned"}
    assert plan.unavailable["no-noise"] == "the settings are so already"
    assert "statistics_batches is 0" in plan.unavailable["ema"]


def test_parts_are_aligned_where_a_category_allows(
    nails: CategoryData, request_for: MakeRequest, cells: CategoryData
) -> None:
    for category, strip in ((nails, (64, 64)), (cells, ())):
        request = request_for(category.root.parent, categories=(category.name,))
        base = dataclasses.replace(request.base, align=True)
        plan = make_plan(EXPERIMENTS["ablation"], dataclasses.replace(request, base=base))
        strips = {run.row.name: run.settings.model.align for run in plan.runs}
        assert strips["base"] == strips["coarser"] == strip
        # Where nothing is aligned leaving it out is no other setting.
        assert strips.get("not-aligned") == (() if strip else None)
        assert strips["rotated"] == ()


@pytest.mark.parametrize("seeds", [(), (1, 1)])
def test_seeds_are_one_run_each(request_for: MakeRequest, tmp_path: Path, seeds: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="each once"):
        make_plan(EXPERIMENTS["table1"], request_for(tmp_path, seeds=seeds))


def test_the_key_is_of_what_decides_the_result(cells: CategoryData, tiny: Settings, tmp_path: Path) -> None:
    run = Run(EXPERIMENTS["table1"].rows[-1], cells, tiny, None)
    assert run.key == dataclasses.replace(run).key
    faster = dataclasses.replace(tiny, train=dataclasses.replace(tiny.train, workers=3))
    assert dataclasses.replace(run, settings=faster).key == run.key
    assert dataclasses.replace(run, row=EXPERIMENTS["table5a"].rows[-1]).key == run.key
    assert dataclasses.replace(run, row=EXPERIMENTS["ablation"].rows[0]).key == run.key
    others = [
        dataclasses.replace(run, settings=tiny.with_seed(1)),
        dataclasses.replace(
            run, settings=dataclasses.replace(tiny, train=dataclasses.replace(tiny.train, steps=3))
        ),
        dataclasses.replace(
            run,
            settings=dataclasses.replace(
                tiny, train=dataclasses.replace(tiny.train, ema=0.9, statistics_batches=1)
            ),
        ),
        dataclasses.replace(
            run, settings=dataclasses.replace(tiny, model=dataclasses.replace(tiny.model, rrs_max=5))
        ),
        dataclasses.replace(
            run, settings=dataclasses.replace(tiny, synthesis=dataclasses.replace(tiny.synthesis, noise=1))
        ),
        dataclasses.replace(run, category=dataclasses.replace(cells, root=tmp_path)),
        dataclasses.replace(run, category=dataclasses.replace(cells, name="other")),
        dataclasses.replace(run, weights=tmp_path / "w.pth"),
    ]
    assert len({run.key, *(other.key for other in others)}) == len(others) + 1


def test_rows_from_before_newer_settings_still_count(cells: CategoryData, tiny: Settings) -> None:
    document = tiny.to_dict()
    for name in ("ema", "rank_noise", "joint", "workers"):
        del document["train"][name]
    for name in ("align", "align_from"):
        del document["model"][name]
    document |= {"category": "cells", "root": str(cells.root.resolve()), "weights": ""}
    written = sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
    assert written.startswith(Run(EXPERIMENTS["table1"].rows[-1], cells, tiny, None).key)


def test_one_model_for_all_is_one_run_whatever_way_they_are_named(
    pair: Path, request_for: MakeRequest
) -> None:
    plan = make_plan(EXPERIMENTS["tableS5"], request_for(pair, categories=("cells", "panes"), textures=pair))
    assert [run.row.name for run in plan.runs] == ["own"]
    assert "image_size is 64" in plan.unavailable["realnet"]
    (run,) = plan.runs
    assert [part.name for part in run.category.parts] == ["cells", "panes"]
    assert [category.name for category in plan.categories] == ["cells", "panes"]
    assert run.title == "RealNet, source of the preset, one model for cells, panes, seed 0"
    (same,) = make_plan(EXPERIMENTS["tableS5"], request_for(pair, categories=("all",))).runs
    assert same.key == run.key
    with pytest.raises(DataError, match="two or more categories together"):
        make_plan(EXPERIMENTS["tableS5"], request_for(pair, categories=("cells",)))
    with pytest.raises(DataError, match="one for all of them together is tableS5"):
        make_plan(EXPERIMENTS["table1"], request_for(pair, categories=("all",)))


def test_other_parts_are_another_run(pair: Path, tiny: Settings) -> None:
    joined = load_category(pair, "all")
    third = dataclasses.replace(joined.parts[1], name="third")
    row = EXPERIMENTS["tableS5"].rows[-1]
    keys = {
        Run(row, dataclasses.replace(joined, parts=parts), tiny, None).key
        for parts in (joined.parts, (*joined.parts, third))
    }
    assert len(keys) == 2


def test_the_papers_choice_of_the_checkpoint_needs_masks_and_is_another_run(
    cells: CategoryData, request_for: MakeRequest, tmp_path: Path
) -> None:
    request = request_for(cells.root.parent, categories=("cells",))
    usual = make_plan(EXPERIMENTS["table1"], request)
    paper = make_plan(EXPERIMENTS["table1"], dataclasses.replace(request, checkpoint_by="test-set"))
    assert not {run.key for run in usual.runs} & {run.key for run in paper.runs}
    assert paper.on_test_set
    assert not usual.on_test_set
    shutil.copytree(cells.root, tmp_path / "bare")
    shutil.rmtree(tmp_path / "bare/ground_truth")
    bare = request_for(tmp_path, categories=("bare",), checkpoint_by="test-set")
    with pytest.raises(DataError, match="has no masks"):
        make_plan(EXPERIMENTS["table1"], bare)


def test_a_category_that_cannot_be_judged_does_not_stop_the_others(
    pair: Path, request_for: MakeRequest, tmp_path: Path
) -> None:
    for name in ("cells", "panes", "bare"):
        shutil.copytree(pair / "cells", tmp_path / name)
    shutil.rmtree(tmp_path / "bare/ground_truth")
    request = request_for(tmp_path, categories=("all",), checkpoint_by="test-set")
    plan = make_plan(EXPERIMENTS["tableS5"], request)
    assert [part.name for part in plan.runs[0].category.parts] == ["cells", "panes"]
    (sentence,) = plan.skipped
    assert sentence.startswith("bare: ")
