"""The experiments as data: every row makes valid settings, and the paper's figures are the printed ones."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from realnet_edge.config import ModelConfig
from realnet_edge.data import DATA_SETS
from realnet_edge.errors import ConfigError
from realnet_edge.experiments.experiment import METRIC_LABELS, Change, Experiment
from realnet_edge.experiments.paper_figures import (
    TABLE_1,
    TABLE_3,
    TABLE_S1,
    TABLE_S2,
    TABLE_S3,
    Published,
)
from realnet_edge.experiments.published import EXPERIMENTS
from realnet_edge.experiments.settings import Settings, changed
from realnet_edge.presets import PRESETS


def settings_of(preset: str) -> Settings:
    chosen = PRESETS[preset]
    return Settings(chosen.model, chosen.synthesis, chosen.train, chosen.align)


def model_of(experiment: str, row: str, preset: str = "paper") -> ModelConfig:
    change = next(r.change for r in EXPERIMENTS[experiment].rows if r.name == row)
    assert change is not None
    return changed(settings_of(preset), change, None).model


def published(experiment: str, row: str) -> Published:
    return next(r.published for r in EXPERIMENTS[experiment].rows if r.name == row)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("experiment", EXPERIMENTS.values(), ids=EXPERIMENTS)
def test_every_row_makes_settings(experiment: Experiment, preset: str, tmp_path: Path) -> None:
    base = settings_of(preset)
    if experiment.base and preset != experiment.preset:
        pytest.skip("one change at a time against its own preset; others may lack what a row leaves out")
    runnable = [row.change for row in experiment.rows if row.change is not None]
    assert runnable
    for change in runnable:
        made = changed(base, change, tmp_path, {change.strength: tmp_path})
        assert made.train == base.train or experiment.base


@pytest.mark.parametrize("experiment", EXPERIMENTS.values(), ids=EXPERIMENTS)
def test_rows_are_whole(experiment: Experiment) -> None:
    names = [row.name for row in experiment.rows]
    assert len(set(names)) == len(names)
    assert set(experiment.metrics) <= set(METRIC_LABELS)
    assert experiment.preset in PRESETS
    assert experiment.base in ("", *names)
    categories = set(DATA_SETS[experiment.data_set].categories)
    for row in experiment.rows:
        assert bool(row.missing) == (row.change is None)
        for figures in (row.published.average, *row.published.by_category.values()):
            assert len(figures) in (0, len(experiment.metrics))
        assert set(row.published.by_category) in (set(), categories)


def test_all_asked_for_are_there() -> None:
    assert list(EXPERIMENTS) == [
        "table1",
        "table3",
        "table5a",
        "table5b",
        "figure5",
        "tableS1",
        "tableS2",
        "tableS3",
        "tableS4",
        "tableS5",
        "tableS6",
        "ablation",
    ]


@pytest.mark.parametrize(
    ("table", "digit"), [(TABLE_1, 0.01), (TABLE_3, 0.01), (TABLE_S1, 0.1), (TABLE_S2, 0.1), (TABLE_S3, 0.01)]
)
def test_averages_are_those_of_the_categories(table: dict[str, Published], digit: float) -> None:
    """A figure copied wrongly would show here; the paper rounds some averages down, some up."""
    for figures in table.values():
        for place, average in enumerate(figures.average):
            column = [cells[place] for cells in figures.by_category.values()]
            known = [value for value in column if value is not None]
            if average is None:
                assert not known
                continue
            assert len(known) == len(column)
            assert abs(sum(known) / len(known) - average) < digit


@pytest.mark.parametrize(
    ("experiment", "row", "category", "expected"),
    [
        ("table1", "sia", "screw", (98.83, 99.45, 87.90)),
        ("table1", "nsa", "transistor", (98.54, 95.67, 79.09)),
        ("table1", "cutpaste", "toothbrush", (99.17, 98.85, 78.48)),
        ("table1", "dtd", "", (99.52, 98.92, 91.40)),
        ("table3", "dtd", "connector", (99.05, 97.76, 65.91)),
        ("table3", "cutpaste", "", (90.14, 97.69, 72.63)),
        ("table5a", "random", "", (94.46, 93.38, 79.81)),
        ("table5a", "projection-rrs", "", (99.09, 98.22, 88.38)),
        ("table5a", "afs", "", (96.86, 96.32, 84.13)),
        ("table5b", "strength-3", "", (99.61, 98.95, 89.36)),
        ("figure5", "both-1-3", "", (99.65, 99.03, 93.07)),
        ("figure5", "max-1-3", "", ()),
        ("tableS1", "vt-adl", "03", (None, 77)),
        ("tableS1", "dtd", "02", (87.5, 96.3)),
        ("tableS2", "sia", "macaroni2", (95.2, 99.6)),
        ("tableS2", "dtd", "", (96.3, 98.4)),
        ("tableS3", "efficientnet-b4", "screw", (92.95, 99.05, 92.68)),
        ("tableS3", "resnet34", "", (98.92, 98.15, 92.69)),
        ("tableS4", "b", "", (10.83, 7.22, 98.44, 98.17, 94.27)),
        ("tableS4", "a-large", "", (13.53, 2.20, 99.40, 98.71, 94.01)),
        ("tableS5", "realnet", "", (97.3, 98.4)),
        ("tableS6", "sia", "", (60.39, 0.18)),
    ],
)
def test_spot_figures(experiment: str, row: str, category: str, expected: tuple[float | None, ...]) -> None:
    figures = published(experiment, row)
    assert (figures.by_category[category] if category else figures.average) == expected


def test_tables_agree_where_they_show_the_same_network() -> None:
    full = TABLE_1["sia"].average
    assert published("table5a", "afs-rrs").average == published("tableS3", "full").average == full
    assert published("tableS4", "a").average[2:] == published("figure5", "both-1-3").average == full
    assert published("tableS4", "a-half").average[2:] == TABLE_S3["half"].average


def test_changes_are_what_the_paper_describes() -> None:
    paper = PRESETS["paper"].model
    for experiment, row in (
        ("figure5", "both-1-3"),
        ("tableS3", "full"),
        ("tableS4", "a"),
        ("table5a", "afs-rrs"),
    ):
        assert model_of(experiment, row) == paper
    half = model_of("tableS4", "a-half")
    assert half == model_of("tableS3", "half")
    assert (half.planes, half.widths) == ((128, 256, 256, 128), (64, 128, 128, 64))
    assert (half.rrs_max, half.rrs_mean) == (128, 128)
    assert model_of("tableS4", "b").block_planes == (1536,)
    assert model_of("tableS4", "c").block_planes == (768, 768)
    assert model_of("tableS4", "a-large").image_size == 512
    without = model_of("table5a", "random")
    assert (without.selection, without.rrs_max, without.rrs_order) == ("random", 1536, "plane")
    kept = {name: model_of("figure5", name) for name in ("max-1-6", "mean-2-3", "both-1")}
    assert [(m.rrs_max, m.rrs_mean) for m in kept.values()] == [(256, 0), (0, 1024), (768, 768)]


def leaves(document: dict[str, Any], inside: str = "") -> dict[str, Any]:
    """Nested settings by their names joined by dots."""
    found = {}
    for name, value in document.items():
        found |= leaves(value, f"{inside}{name}.") if isinstance(value, dict) else {f"{inside}{name}": value}
    return found


ABLATED = {
    "base": {},
    "not-aligned": {"align": False},
    "rotated": {"align": False, "synthesis.rotate": 180.0},
    "coarser": {
        "model.taps": [2, 3],
        "model.planes": [32, 48],
        "model.widths": [32, 96],
        "model.rrs_max": 20,
        "model.rrs_mean": 20,
    },
    "wider": {"model.widths": [24, 48, 144]},
    "not-standardised": {"model.standardise": False},
    "patches": {"synthesis.source": "patches:1"},
    "cutpaste": {"synthesis.source": "cutpaste:1"},
    "no-bends": {"synthesis.source": "patches:0.4,cutpaste:0.2,scratches:0.2"},
    "no-scratches": {"synthesis.source": "patches:0.4,bends:0.2,cutpaste:0.2"},
    "chips": {
        "synthesis.source": "patches:0.3,bends:0.2,cutpaste:0.15,scratches:0.15,chips:0.2",
    },
    "no-noise": {"synthesis.noise": 0.0},
    "constant-rate": {"train.schedule": "constant"},
    "ema": {"train.ema": 0.998},
    "rank-noise": {"train.rank_noise": 0.1},
    "joint": {"train.joint": True},
    "few-afs-batches": {"train.afs_batches": 8},
    "score-order": {"model.rrs_order": "score"},
    "larger": {"model.image_size": 320, "model.attention_limit": 400},
}


def test_the_ablation_changes_one_thing_at_a_time() -> None:
    base = settings_of("edge")
    before = leaves(base.to_dict())
    found = {}
    for row in EXPERIMENTS["ablation"].rows:
        assert row.change is not None
        settings = changed(base, row.change, None)
        after = leaves(settings.to_dict())
        found[row.name] = {name: value for name, value in after.items() if value != before[name]}
        if settings.align != base.align:
            found[row.name]["align"] = settings.align
    assert found == ABLATED


def test_changes_that_do_not_fit_the_settings_are_refused() -> None:
    base = settings_of("edge")
    blocks = dataclasses.replace(base.model, blocks=(1, 2), widths=(16, 128))
    grouped = dataclasses.replace(base, model=blocks)
    with pytest.raises(ConfigError, match="finest tap shares one"):
        changed(grouped, Change(drop_finest=True), None)
    for source, name in (("cutpaste", "cutpaste"), ("patches:1,cutpaste:2", "bends")):
        other = dataclasses.replace(base, synthesis=dataclasses.replace(base.synthesis, source=source))
        with pytest.raises(ConfigError, match="nothing to leave out"):
            changed(other, Change(without_source=name), None)


def test_sources_are_those_of_the_row(tmp_path: Path) -> None:
    base = settings_of("edge")
    sources = {
        row.name: changed(base, row.change, tmp_path, {"": tmp_path / "sia"}).synthesis.source
        for row in EXPERIMENTS["table1"].rows
        if row.change is not None
    }
    assert sources == {
        "sia": f"sia={tmp_path / 'sia'}:1",
        "nsa": "nsa",
        "dtd": f"textures={tmp_path}:1",
        "cutpaste": "cutpaste",
        "own": PRESETS["edge"].synthesis.source,
    }
    with pytest.raises(ConfigError, match="--textures"):
        changed(base, Change(source="textures"), None)
    with pytest.raises(ConfigError, match="--sia"):
        changed(base, Change(source="sia"), tmp_path)
    with pytest.raises(
        ConfigError, match=r"strength is '0\.3'; valid: 0, 0\.1, 0\.2, 0\.1:0\.2 with source sia"
    ):
        Change(source="sia", strength="0.3")
    with pytest.raises(ConfigError, match="with source sia"):
        Change(source="nsa", strength="0.1")
    with pytest.raises(ConfigError, match="comma"):
        changed(base, Change(source="textures"), Path("/a,b"))


@pytest.mark.parametrize(
    ("rrs", "retention"), [("max", 0.0), ("none", 0.5), ("", 0.5), ("mean", 1.5), ("sum", 0.5)]
)
def test_changes_that_mean_nothing_are_refused(rrs: str, retention: float) -> None:
    with pytest.raises(ConfigError):
        Change(rrs=rrs, retention=retention)
