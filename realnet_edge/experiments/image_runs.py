"""The images that anomaly sources make, measured category by category: Table S6. Nothing is trained."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np

from realnet_edge.data import CategoryData
from realnet_edge.experiments.experiment import SIA, Experiment, Row
from realnet_edge.experiments.plan import Request, row_settings, usable_categories, wanted_rows
from realnet_edge.experiments.results import ResultsFile
from realnet_edge.experiments.settings import synthesis_in_category
from realnet_edge.imaging import load_batch
from realnet_edge.quality.features import Images
from realnet_edge.quality.measure import Networks, Quality, measure_quality
from realnet_edge.synthesis import foreground_of_files, make_source, parse_spec, sia_files
from realnet_edge.synthesis.generate import anomalous_images

_KEY_LENGTH = 20


@dataclass(frozen=True)
class ImageRun:
    """One source in one category, drawn once.

    Attributes:
        row: the source, one of the experiment's rows.
        category: whose good images anomalies are put on, and whose defects they are compared with.
        source: as `realnet_edge.synthesis.make_source` reads it.
        foreground: a rule, or "auto", as `SynthesisConfig.foreground`.
        count: images to make; fewer where a folder of SIA images has no more.
        size: their side in pixels.
        seed: which draw.
    """

    row: Row
    category: CategoryData
    source: str
    foreground: str
    count: int
    size: int
    seed: int

    @property
    def title(self) -> str:
        return f"{self.row.label}, {self.category.name}, seed {self.seed}"

    def key(self, networks: Networks) -> str:
        """What the run is known by: a hash of all that decides its figures."""
        document = [
            *(self.source, self.foreground, self.count, self.size, self.seed),
            *(str(self.category.root.resolve()), networks.pooled_label, networks.vectors.label),
        ]
        return sha256(json.dumps(document).encode()).hexdigest()[:_KEY_LENGTH]


@dataclass(frozen=True)
class ImageResult:
    """The figures of an `ImageRun`; from `features` on as in `realnet_edge.quality.measure.Quality`.

    Attributes:
        key: of the run.
        category, seed, source, size: the run's.
        samples: images that were measured.
        copies: share of them that is nearer to a training image than all but 1% of these are, 0 to 1.
    """

    key: str
    category: str
    seed: int
    source: str
    size: int
    samples: int
    features: str
    official_frechet: bool
    frechet: float
    precision: float | None
    recall: float | None
    perceptual: str
    official_lpips: bool
    cluster_lpips: float | None
    copies: float


@dataclass(frozen=True)
class ImagePlan:
    """What is measured.

    Attributes:
        experiment: whose.
        runs: row by row, in each category by category and seed by seed.
        categories: those that the runs are of.
        unavailable: row names and why they have no run.
        skipped: categories that are left out and why, a sentence each.
        wanted: names of the rows to measure; the results of the others are shown where they are there.
    """

    experiment: Experiment
    runs: tuple[ImageRun, ...]
    categories: tuple[CategoryData, ...]
    unavailable: Mapping[str, str]
    skipped: tuple[str, ...]
    wanted: frozenset[str]

    @property
    def to_run(self) -> tuple[ImageRun, ...]:
        """The runs of the rows that are wanted, whether they are done or not."""
        return tuple(run for run in self.runs if run.row.name in self.wanted)


def image_results(place: Path) -> ResultsFile[ImageResult]:
    """The rows of all measured images of a workspace."""
    return ResultsFile(place / "images.jsonl", ImageResult)


def plan_images(experiment: Experiment, request: Request, count: int) -> ImagePlan:
    """List the runs; no image is decoded.

    Args:
        count: images of each source, category and seed.

    Raises:
        ConfigError: a row that the experiment does not have.
        DataError: no category can be used.
    """
    wanted = wanted_rows(experiment, request)
    categories, skipped = usable_categories(experiment, request)
    possible, unavailable = row_settings(experiment, request)
    runs: list[ImageRun] = []
    size = request.base.model.image_size
    for row, settings in possible:
        for category in categories:
            synthesis = synthesis_in_category(settings.synthesis, category)
            runs += [
                ImageRun(row, category, synthesis.source, synthesis.foreground, count, size, seed)
                for seed in request.seeds
            ]
    return ImagePlan(experiment, tuple(runs), categories, unavailable, skipped, wanted)


def measure_images(
    plan: ImagePlan, networks: Networks, results: ResultsFile[ImageResult]
) -> Iterator[tuple[ImageRun, ImageResult]]:
    """Do the wanted runs that have no row yet, one after the other; each adds its row."""
    done = results.rows()
    for run in plan.to_run:
        key = run.key(networks)
        if key in done:
            continue
        shape = (run.size, run.size)
        training = load_batch(run.category.train, shape)
        defects = load_batch([sample.path for sample in run.category.defects], shape)
        quality = measure_quality(_samples(run, training), defects, training, networks)
        row = _result(run, key, quality)
        results.append(row)
        yield run, row


def _samples(run: ImageRun, training: Images) -> Images:
    """The images of a source: SIA images as they are, others on the category's good images."""
    shape = (run.size, run.size)
    part, *others = parse_spec(run.source)
    if part.name == SIA and not others:
        files = sia_files(Path(part.choice))
        order = np.random.default_rng(run.seed).permutation(len(files))[: run.count]
        return load_batch([files[place] for place in order], shape)
    category = run.category
    rule, _ = foreground_of_files(category.train, shape, run.foreground, category.foreground)
    return anomalous_images(
        training, rule, make_source(run.source, training, shape, rule), run.count, run.seed
    )


def _result(run: ImageRun, key: str, quality: Quality) -> ImageResult:
    return ImageResult(
        key=key,
        category=run.category.name,
        seed=run.seed,
        source=run.source,
        size=run.size,
        samples=quality.samples,
        features=quality.features,
        official_frechet=quality.official_frechet,
        frechet=quality.frechet,
        precision=quality.precision,
        recall=quality.recall,
        perceptual=quality.perceptual,
        official_lpips=quality.official_lpips,
        cluster_lpips=quality.cluster_lpips,
        copies=quality.copies.share,
    )
