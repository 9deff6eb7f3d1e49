from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from realnet_edge.errors import ConfigError, DataError
from realnet_edge.imaging import load_batch
from realnet_edge.synthesis import (
    PRESETS,
    ForegroundRule,
    choose_foreground,
    foreground_mask,
    foreground_of_files,
    resolve_foreground,
)


def test_screws_are_found_as_the_published_rule_finds_them(mvtec_root: Path) -> None:
    paths = sorted((mvtec_root / "screw" / "train" / "good").glob("*.png"))[::20]
    images = list(load_batch(paths, (256, 256)))
    rule, reason = choose_foreground(images)
    assert rule.method != "whole"
    assert "16 of 16 images" in reason
    for image in images:
        ours, published = foreground_mask(image, rule), foreground_mask(image, PRESETS["mvtec/screw"])
        assert (ours & published).sum() / (ours | published).sum() > 0.9


@pytest.mark.parametrize("kind", ["mono", "poly"])
def test_solar_cells_fill_the_image(kind: str) -> None:
    dataset = pytest.importorskip("elpv_dataset.utils", reason="needs the package elpv-dataset (extra demo)")
    cells, probabilities, kinds = dataset.load_dataset()
    picks = [i for i in range(len(cells)) if kinds[i] == kind and probabilities[i] == 0.0][::20]
    rule, reason = choose_foreground([np.repeat(cells[i][:, :, None], 3, axis=2) for i in picks])
    assert rule == ForegroundRule()
    assert "border" in reason


def test_a_dark_and_a_bright_object_are_told_apart(bar_images: list[np.ndarray]) -> None:
    dark, _ = choose_foreground(bar_images)
    bright, reason = choose_foreground([255 - image for image in bar_images])
    assert (dark.polarity, bright.polarity) == ("dark", "bright")
    assert "separability" in reason
    # The squares grow with the image: 6 pixels at 256 are 2 at 96.
    assert (dark.closing, dark.opening) == (2, 2)
    mask = foreground_mask(bar_images[0], dark)
    assert 0.9 < mask.sum() / (71 * 23) < 1.1


def test_texture_takes_the_whole_image(texture_images: list[np.ndarray]) -> None:
    assert choose_foreground(texture_images)[0] == ForegroundRule()


def test_an_object_that_is_there_only_at_times_is_not_trusted(bar_images: list[np.ndarray]) -> None:
    small = [np.full_like(bar_images[0], 200) for _ in range(8)]
    for index, image in enumerate(small):
        image[30 : 40 + 8 * index, 30 : 40 + 5 * index] = 40
    rule, reason = choose_foreground(small)
    assert rule == ForegroundRule()
    assert "varies" in reason


def test_flat_images_take_the_whole_image() -> None:
    assert choose_foreground([np.full((64, 64, 3), 90, np.uint8)] * 3)[0] == ForegroundRule()


def test_no_images_are_refused() -> None:
    with pytest.raises(DataError, match="no images"):
        choose_foreground([])


def test_a_setting_is_auto_a_preset_or_a_rule(bar_images: list[np.ndarray]) -> None:
    assert resolve_foreground("auto", bar_images) == choose_foreground(bar_images)
    assert resolve_foreground("mvtec/pill", [])[0] == PRESETS["mvtec/pill"]
    assert str(resolve_foreground("triangle:bright:4:4", [])[0]) == "triangle:bright:4:4"
    with pytest.raises(ConfigError, match="mvtec/screw"):
        resolve_foreground("mvtec/bolt", [])


def test_auto_takes_the_published_rule_of_a_copy_and_says_so(bar_images: list[np.ndarray]) -> None:
    rule, reason = resolve_foreground("auto", [], "mvtec/pill")
    assert rule == PRESETS["mvtec/pill"]
    assert reason == f"{rule}: published for mvtec/pill, which this is a copy of"
    # A data set without published rules, and a rule of one's own, are as before.
    assert resolve_foreground("auto", bar_images, "mvtec2/can") == choose_foreground(bar_images)
    assert resolve_foreground("whole", bar_images, "mvtec/pill")[0] == ForegroundRule()


def test_files_that_cannot_be_decoded_are_passed_over(bar_images: list[np.ndarray], tmp_path: Path) -> None:
    size = (bar_images[0].shape[0], bar_images[0].shape[1])
    paths = []
    for number, image in enumerate(bar_images):
        paths.append(tmp_path / f"{number}.png")
        Image.fromarray(image).save(paths[-1])
    damaged = tmp_path / "damaged.png"
    damaged.write_bytes(paths[0].read_bytes()[:60])
    found = foreground_of_files([damaged, *paths], size, "auto")
    assert found == resolve_foreground("auto", bar_images)
    assert found[0].polarity == "dark"
    assert foreground_of_files(paths, size, "auto", "mvtec/screw")[0] == PRESETS["mvtec/screw"]
    with pytest.raises(DataError, match="no images"):
        foreground_of_files([damaged], size, "auto")
