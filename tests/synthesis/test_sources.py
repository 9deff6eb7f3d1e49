"""What every source has to hold, and the mixture, the specification and the entry point."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from realnet_edge.errors import ConfigError, DataError
from realnet_edge.synthesis import (
    AnomalySource,
    ForegroundRule,
    MixtureSource,
    ScratchSource,
    Synthetic,
    foreground_mask,
    make_source,
    synthesise,
    visible_difference,
)
from realnet_edge.synthesis.specification import FOLDER_SOURCES, OWN_SOURCES

SPECS = ("patches", "bends", "chips", "cutpaste", "scratches", "nsa", "textures", "sia")
RULE = ForegroundRule.parse("otsu:dark:2:2")


@pytest.fixture
def texture_folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    folder = tmp_path / "textures"
    for name in ("woven/a.png", "woven/b.jpg", "dotted/c.png"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, size=(40, 60, 3), dtype=np.uint8)).save(path)
    return folder


def build(spec: str, images: list[np.ndarray], folder: Path, rule: ForegroundRule = RULE) -> MixtureSource:
    # Of SIA a folder of one category is named, of textures also one of folders.
    places = {"textures": folder, "sia": folder / "woven"}
    named = f"{spec}={places[spec]}" if spec in places else spec
    return make_source(named, images, images[0].shape[:2], rule)


class UnchangedSource:
    """Marks pixels as anomalous and changes none of them."""

    name = "unchanged"

    def __call__(self, image: np.ndarray, foreground: np.ndarray, rng: np.random.Generator) -> Synthetic:
        rng.random()
        return Synthetic(image.copy(), foreground.copy())


@pytest.mark.parametrize("spec", SPECS)
def test_samples_are_visible_and_marked(
    spec: str, bar_images: list[np.ndarray], texture_folder: Path
) -> None:
    source = build(spec, bar_images, texture_folder)
    rng = np.random.default_rng(0)
    # CutPaste may overlap the outline; bends and chips move it, by up to 0.65 of 28 pixels in 256; NSA
    # brings an outline along, within patches of up to 0.4 of the image.
    margin = {"cutpaste": round(0.03 * 96), "bends": 7, "chips": 7, "nsa": round(0.4 * 128)}.get(spec, 0)
    for image in bar_images * 6:
        before = image.copy()
        foreground = foreground_mask(image, RULE)
        made = synthesise(image, foreground, source, rng)
        assert made.image.shape == image.shape
        assert made.image.dtype == np.uint8
        assert made.mask.shape == image.shape[:2]
        assert made.mask.dtype == np.bool_
        assert made.mask.sum() >= 4
        assert visible_difference(image, made.image, made.mask) >= 6.0
        assert np.array_equal(image, before)
        assert distance_outside(made.mask, foreground) <= margin


@pytest.mark.parametrize("spec", SPECS)
def test_what_is_not_marked_has_hardly_changed(
    spec: str, texture_images: list[np.ndarray], texture_folder: Path
) -> None:
    source = build(spec, texture_images, texture_folder, ForegroundRule())
    rng = np.random.default_rng(1)
    everywhere = np.ones(texture_images[0].shape[:2], bool)
    for image in texture_images * 5:
        made = synthesise(image, everywhere, source, rng)
        unmarked = np.abs(made.image.astype(int) - image)[~made.mask]
        assert unmarked.max(initial=0) < 6


@pytest.mark.parametrize("spec", SPECS)
def test_the_same_generator_state_gives_the_same_bytes(
    spec: str, bar_images: list[np.ndarray], texture_folder: Path
) -> None:
    foreground = foreground_mask(bar_images[2], RULE)
    runs = []
    for seed in (11, 11, 12):
        source = build(spec, bar_images, texture_folder)
        rng = np.random.default_rng(seed)
        runs.append([synthesise(bar_images[2], foreground, source, rng) for _ in range(10)])
    for first, second in zip(runs[0], runs[1], strict=True):
        assert first.image.tobytes() == second.image.tobytes()
        assert first.mask.tobytes() == second.mask.tobytes()
    assert any(a.image.tobytes() != b.image.tobytes() for a, b in zip(runs[0], runs[2], strict=True))


@pytest.mark.parametrize("spec", SPECS)
def test_grey_images_stay_grey_except_for_foreign_ones(
    spec: str, bar_images: list[np.ndarray], texture_folder: Path
) -> None:
    source = build(spec, bar_images, texture_folder)
    rng = np.random.default_rng(2)
    foreground = foreground_mask(bar_images[0], RULE)
    made = [synthesise(bar_images[0], foreground, source, rng).image for _ in range(40)]
    coloured = any((image != image[:, :, :1]).any() for image in made)
    assert coloured == (spec in FOLDER_SOURCES)


@pytest.mark.parametrize("spec", SPECS)
def test_the_smallest_foregrounds_and_sizes_work(
    spec: str, bar_images: list[np.ndarray], texture_folder: Path
) -> None:
    source = build(spec, bar_images, texture_folder)
    rng = np.random.default_rng(3)
    speck = np.zeros((128, 96), bool)
    speck[0, 95] = True
    for foreground in (speck, np.zeros_like(speck)):
        for _ in range(10):
            made = synthesise(bar_images[0], foreground, source, rng)
            assert made.mask.any()
            assert visible_difference(bar_images[0], made.image, made.mask) > 0


@pytest.mark.parametrize("spec", SPECS)
def test_an_empty_foreground_stands_for_the_whole_image(
    spec: str, bar_images: list[np.ndarray], texture_folder: Path
) -> None:
    source = build(spec, bar_images, texture_folder)
    whole = np.ones((128, 96), bool)
    for seed in range(5):
        first, second = (
            synthesise(bar_images[0], foreground, source, np.random.default_rng(seed))
            for foreground in (~whole, whole)
        )
        assert np.array_equal(first.image, second.image)
        assert np.array_equal(first.mask, second.mask)


def test_a_source_that_changes_nothing_ends_in_a_visible_blob(bar_images: list[np.ndarray]) -> None:
    foreground = foreground_mask(bar_images[0], RULE)
    made = synthesise(bar_images[0], foreground, UnchangedSource(), np.random.default_rng(0))
    assert made.mask.any()
    assert not (made.mask & ~foreground).any()
    assert visible_difference(bar_images[0], made.image, made.mask) > 50


@pytest.mark.parametrize("level", [0, 255])
def test_black_and_white_images_get_visible_anomalies(level: int) -> None:
    image = np.full((64, 64, 3), level, np.uint8)
    source = make_source(",".join(OWN_SOURCES), [image], 64)
    rng = np.random.default_rng(0)
    for _ in range(30):
        made = synthesise(image, np.ones((64, 64), bool), source, rng)
        assert visible_difference(image, made.image, made.mask) > 2


def test_synthesise_refuses_what_does_not_fit(bar_images: list[np.ndarray]) -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(DataError, match="foreground"):
        synthesise(bar_images[0], np.ones((96, 128), bool), ScratchSource(), rng)
    with pytest.raises(DataError, match="uint8 RGB"):
        synthesise(bar_images[0].astype(np.float32), np.ones((128, 96), bool), ScratchSource(), rng)


def test_a_mixture_draws_by_weight(bar_images: list[np.ndarray]) -> None:
    drawn: list[str] = []

    class Named(UnchangedSource):
        def __init__(self, name: str) -> None:
            self.name = name

        def __call__(self, image: np.ndarray, foreground: np.ndarray, rng: np.random.Generator) -> Synthetic:
            drawn.append(self.name)
            return Synthetic(255 - image, foreground.copy())

    parts: list[tuple[AnomalySource, float]] = [(Named("a"), 3.0), (Named("b"), 1.0)]
    mixture = MixtureSource(parts)
    rng = np.random.default_rng(0)
    for _ in range(400):
        mixture(bar_images[0], np.ones((128, 96), bool), rng)
    assert 0.70 < drawn.count("a") / 400 < 0.80
    assert mixture.name == "a:0.75,b:0.25"


def test_a_specification_becomes_its_sources(bar_images: list[np.ndarray], texture_folder: Path) -> None:
    mixture = make_source(f"patches:0.5, cutpaste ,textures={texture_folder}:0.5", bar_images, (128, 96))
    assert [source.name for source in mixture.sources] == ["patches", "cutpaste", "textures"]
    assert mixture.shares.tolist() == [0.25, 0.5, 0.25]


@pytest.mark.parametrize(
    ("spec", "named"),
    [("cutpaste=circle", "rectangle, scar"), ("nsa=mvtec/bolt", "mvtec/bottle"), ("paches", "paches")],
)
def test_choices_that_a_source_does_not_have_are_refused(
    spec: str, named: str, bar_images: list[np.ndarray]
) -> None:
    with pytest.raises(ConfigError, match=named):
        make_source(spec, bar_images, (128, 96))


def test_mixtures_of_nothing_or_of_negative_weight_are_refused() -> None:
    with pytest.raises(ConfigError, match="at least one"):
        MixtureSource([])
    with pytest.raises(ConfigError, match=r"-1\.0"):
        MixtureSource([(ScratchSource(), -1.0)])


def distance_outside(mask: np.ndarray, foreground: np.ndarray) -> float:
    """How far the mask reaches beyond the foreground, in pixels along rows or columns."""
    return float(cv2.distanceTransform((~foreground).astype(np.uint8), cv2.DIST_C, 3)[mask].max())
