"""Which runs an experiment takes on the data at hand, and what of it cannot be run and why."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

from realnet_edge.config import CHECKPOINT_BY, UNSTORED
from realnet_edge.data import (
    DATA_SETS,
    CategoryData,
    category_folders,
    join_categories,
    load_category,
    make_splits,
)
from realnet_edge.errors import ConfigError, DataError
from realnet_edge.experiments.experiment import Experiment, Row
from realnet_edge.experiments.settings import Settings, changed, in_category

# May change without changing a result.
_FREE = ("workers",)
# Settings of the model that came later: only where they say something, as with `UNSTORED`.
_ALIGNED = ("align", "align_from")
_KEY_LENGTH = 20


@dataclass(frozen=True)
class Run:
    """One training and its evaluation.

    Attributes:
        row: the setting, one of the experiment's.
        category: what it is trained on; several as one where the experiment is of one model for all.
        settings: the row's, with the run's seed.
        weights: file of the backbone's weights; None for those of an installed package or timm's hub.
        checkpoint_by: one of `realnet_edge.config.CHECKPOINT_BY`.
    """

    row: Row
    category: CategoryData
    settings: Settings
    weights: Path | None
    checkpoint_by: str = CHECKPOINT_BY[0]

    @property
    def seed(self) -> int:
        return self.settings.train.seed

    @property
    def title(self) -> str:
        parts = self.category.parts
        what = f"one model for {', '.join(p.name for p in parts)}" if parts else self.category.name
        return f"{self.row.label}, {what}, seed {self.seed}"

    @cached_property
    def key(self) -> str:
        """What the run is known by: a hash of all that decides its result.

        Experiments share it: a setting that two of them have is trained once.
        """
        document: dict[str, Any] = self.settings.to_dict()
        # Only where they say something: keys of other runs stay what they were before these existed.
        silent = {k for k, v in UNSTORED.items() if document["train"][k] == v}
        document["model"] = {k: v for k, v in document["model"].items() if k not in _ALIGNED or v}
        document["train"] = {k: v for k, v in document["train"].items() if k not in {*_FREE, *silent}}
        document |= {
            "category": self.category.name,
            "root": str(self.category.root.resolve()),
            "weights": str(self.weights.resolve()) if self.weights else "",
        }
        if self.category.parts:
            document["parts"] = [part.name for part in self.category.parts]
        if self.checkpoint_by != CHECKPOINT_BY[0]:
            document["checkpoint_by"] = self.checkpoint_by
        return sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:_KEY_LENGTH]


@dataclass(frozen=True)
class Plan:
    """What `make_plan` found.

    Attributes:
        experiment: whose.
        base: the settings that rows change.
        seeds: as given.
        categories: those that are evaluated, each by itself.
        runs: row by row, in each category by category and seed by seed.
        unavailable: row names and why they have no run.
        skipped: categories that have no run and why, a sentence each.
        wanted: names of the rows to run; the results of the others are shown where they are there.
        checkpoint_by: how every run's checkpoint is chosen; results of another choice do not belong here.
    """

    experiment: Experiment
    base: Settings
    seeds: tuple[int, ...]
    categories: tuple[CategoryData, ...]
    runs: tuple[Run, ...]
    unavailable: Mapping[str, str]
    skipped: tuple[str, ...]
    wanted: frozenset[str]
    checkpoint_by: str = CHECKPOINT_BY[0]

    @property
    def to_run(self) -> tuple[Run, ...]:
        """The runs of the rows that are wanted, whether they are done or not."""
        return tuple(run for run in self.runs if run.row.name in self.wanted)

    @property
    def on_test_set(self) -> bool:
        """Whether checkpoints are chosen on the test set, the paper's way."""
        return self.checkpoint_by != CHECKPOINT_BY[0]

    @property
    def is_subset(self) -> bool:
        """Whether a category of the experiment's data set has no run."""
        return {c.name for c in self.compared} != set(DATA_SETS[self.experiment.data_set].categories)

    @property
    def compared(self) -> tuple[CategoryData, ...]:
        """Categories that are copies of the experiment's data set: the paper's figures are of these."""
        return tuple(c for c in self.categories if c.data_set == self.experiment.data_set)


@dataclass(frozen=True)
class Request:
    """What the user asks of an experiment.

    Attributes:
        data: folder that holds the categories.
        categories: their names; empty for all of the experiment's data set that are there.
        base: the settings that rows change.
        seeds: one run each.
        textures: folder of textures such as DTD's images/, where the user has one.
        sia: folders of SIA images, or of a folder of them for each category, by their strength as `changed`
            takes them.
        weights: files of backbones' weights by the backbones' names.
        checkpoint_by: one of `realnet_edge.config.CHECKPOINT_BY`; "test-set" is the paper's way.
        rows: names of the rows to run, the base row beside them; empty for all.
    """

    data: Path
    base: Settings
    categories: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0,)
    textures: Path | None = None
    sia: Mapping[str, Path] = field(default_factory=dict)
    weights: Mapping[str, Path] = field(default_factory=dict)
    checkpoint_by: str = CHECKPOINT_BY[0]
    rows: tuple[str, ...] = ()


def make_plan(experiment: Experiment, request: Request) -> Plan:
    """List the runs; of images only as many are decoded as tell whether parts are to be aligned.

    Raises:
        ConfigError: no seed, or one of them twice, or a row that the experiment does not have.
        DataError: none of the categories can be used, or one where the experiment wants several as one.
    """
    seeds = request.seeds
    if not seeds or len(set(seeds)) < len(seeds):
        raise ConfigError(f"seeds are {list(seeds)}; valid: one or more whole numbers, each once.")
    wanted = wanted_rows(experiment, request)
    categories, skipped = usable_categories(experiment, request)
    trained = categories
    if experiment.joined:
        trained = (join_categories(request.data, categories),)
    possible, unavailable = row_settings(experiment, request)
    runs: list[Run] = []
    for row, settings in possible:
        own = [(category, in_category(settings, category)) for category in trained]
        if experiment.base not in ("", row.name):
            # Its figures would be the base row's, and their difference of nought would look measured.
            own = [(category, told) for category, told in own if told != in_category(request.base, category)]
        if not own:
            unavailable[row.name] = "the settings are so already"
        weights = request.weights.get(settings.model.backbone)
        runs += [
            Run(row, category, told.with_seed(seed), weights, request.checkpoint_by)
            for category, told in own
            for seed in seeds
        ]
    return Plan(
        experiment=experiment,
        base=request.base,
        seeds=seeds,
        categories=categories,
        runs=tuple(runs),
        unavailable=unavailable,
        skipped=skipped,
        checkpoint_by=request.checkpoint_by,
        wanted=wanted,
    )


def wanted_rows(experiment: Experiment, request: Request) -> frozenset[str]:
    """Names of the rows to run: those asked for and the base row, or all.

    Raises:
        ConfigError: the experiment has no such row.
    """
    names = [row.name for row in experiment.rows]
    for name in request.rows:
        if name not in names:
            raise ConfigError(f"{experiment.title} has no row {name!r}; it has {', '.join(names)}.")
    return frozenset((*request.rows, experiment.base) if request.rows else names)


def row_settings(
    experiment: Experiment, request: Request
) -> tuple[list[tuple[Row, Settings]], dict[str, str]]:
    """Each row that can be run with its settings, and why the others cannot, by their names."""
    possible: list[tuple[Row, Settings]] = []
    unavailable = {row.name: row.missing for row in experiment.rows if row.change is None}
    for row in experiment.rows:
        if row.change is None:
            continue
        try:
            possible.append((row, changed(request.base, row.change, request.textures, request.sia)))
        except ConfigError as error:
            unavailable[row.name] = str(error).rstrip(".")
    return possible, unavailable


def usable_categories(
    experiment: Experiment, request: Request
) -> tuple[tuple[CategoryData, ...], tuple[str, ...]]:
    """Categories to run, at least one, and sentences on those that are left out.

    Raises:
        DataError: none of the categories can be used.
    """
    found: dict[str, CategoryData] = {}
    skipped: list[str] = []
    asked = _asked(request)
    for place, name in asked:
        try:
            category = load_category(place, name)
            _refuse_joined(category, experiment)
        except (ConfigError, DataError) as error:
            skipped.append(f"{name}: {error}")
            continue
        if not request.categories and category.data_set != experiment.data_set:
            title = DATA_SETS[experiment.data_set].title
            skipped.append(f"{name}: no category of {title}; --category {name} runs it all the same.")
            continue
        for single in category.singles:
            try:
                _refuse_untestable(single, request.checkpoint_by)
            except DataError as error:
                skipped.append(f"{single.name}: {error}")
                continue
            found[single.name] = single
    if not request.categories:
        there = {name for _, name in asked}
        absent = [name for name in DATA_SETS[experiment.data_set].categories if name not in there]
        if absent:
            skipped.append(f"Not in {request.data}: {', '.join(absent)}.")
    if not found:
        raise DataError("\n".join([f"{experiment.title}: no category can be run.", *skipped]))
    return tuple(found.values()), tuple(skipped)


def _asked(request: Request) -> Sequence[tuple[Path, str]]:
    if request.categories:
        return [(request.data, name) for name in dict.fromkeys(request.categories)]
    return [(folder, folder.absolute().name) for folder in category_folders(request.data)]


def _refuse_joined(category: CategoryData, experiment: Experiment) -> None:
    if category.parts and not experiment.joined:
        raise ConfigError(
            f"{experiment.title} trains a model for each category; one for all of them together is tableS5."
        )


def _refuse_untestable(category: CategoryData, checkpoint_by: str) -> None:
    labels = {sample.label for sample in category.test}
    if labels != {0, 1}:
        what = "good test images" if 0 not in labels else "defective test images"
        raise DataError(f"{category.root} has no {what}, so there is no accuracy to measure.")
    if checkpoint_by != CHECKPOINT_BY[0] and not category.has_masks:
        raise DataError(
            f"{category.root} has no masks, and by the test set a checkpoint is chosen by the mean of image "
            "and pixel AUROC. Leave --checkpoint-by out."
        )
    # Says how many good images are too few; the seed does not matter to that.
    make_splits(category, 0)
