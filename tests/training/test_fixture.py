"""Parts measured, framed, and aligned by the stated rule or not at all."""

from __future__ import annotations

import dataclasses
import math
import re
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from realnet_edge.config import ModelConfig, SynthesisConfig
from realnet_edge.errors import ConfigError, DataError
from realnet_edge.model.alignment import PartAlignment
from realnet_edge.presets import preset
from realnet_edge.synthesis import ForegroundRule, MixtureSource, PatchSource, View
from realnet_edge.training.alignment_choice import (
    aligned,
    look,
    reason_against,
    reason_for,
    strip_advice,
)
from realnet_edge.training.fixture import (
    describe,
    fit_alignment,
    measure_parts,
    source_size,
    strip_of,
    strip_size,
)
from realnet_edge.training.fixture_sheet import outline, write_sheet
from realnet_edge.training.samples import AnomalyDataset

Images = npt.NDArray[np.uint8]
EDGE = preset("edge").model


def bars(
    angles: list[float], half: tuple[float, float] = (80, 20), side: int = 256, taper: float = 0.3
) -> Images:
    """Dark bars around the middle, narrower at the end that they point to; (N, side, side, 3)."""
    made = []
    for angle in angles:
        turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        (long, wide), thin = half, half[1] * taper
        outline = np.array([(-long, -wide), (long, -thin), (long, thin), (-long, wide)]) @ turn.T
        image = np.full((side, side, 3), 210, np.uint8)
        points = np.rint((outline + (side - 1) / 2) * 16).astype(np.int32)
        made.append(cv2.fillPoly(image, [points], (70, 70, 70), lineType=cv2.LINE_AA, shift=4))
    return np.stack(made)


def files(folder: Path, images: Images) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number}.png" for number in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(image).save(path)
    return paths


TURNS = [float(angle) for angle in np.linspace(0, 2 * np.pi, 16, endpoint=False)]


def test_parts_are_measured() -> None:
    extent = measure_parts(PartAlignment((256, 256), (64, 192)), [bars(TURNS)])
    assert extent.size == (pytest.approx(40, abs=6), pytest.approx(160, abs=6))
    assert extent.empty == 0
    assert extent.border == 0
    assert extent.spread < 0.03
    assert extent.turned > 40
    assert extent.two_ended
    assert measure_parts(PartAlignment((256, 256), (64, 192)), [bars([0.5] * 4)]).turned < 1


def test_the_frame_holds_all_parts_with_room_around() -> None:
    images = bars(TURNS)
    alignment = PartAlignment((256, 256), (64, 192))
    extent = fit_alignment(alignment, [images])
    for image in images:
        dark = strip_of(alignment, image)[:, :, 0] < 140
        assert not dark[:2].any()
        assert not dark[-2:].any()
        assert not dark[:, :3].any()
        assert not dark[:, -3:].any()
        # And no more of it than that: it is 192 of 160 pixels and some room.
        assert dark.any(axis=0).sum() > 165
    text = describe(extent, alignment)
    assert "an input of 256 x 256" in text
    assert "strips of 192 x 64" in text
    assert "either way" not in text


def test_an_odd_image_among_many_does_not_set_the_frame() -> None:
    images = bars([0.1] * 60)
    odd = images.copy()
    odd[7, :60, :60] = 70
    frames = []
    for some in (images, odd):
        alignment = PartAlignment((256, 256), (64, 192))
        fit_alignment(alignment, np.array_split(some, 4))
        frames.append(alignment.frame.numpy())
    np.testing.assert_allclose(frames[0], frames[1], rtol=0.03, atol=0.5)


def test_parts_with_two_like_ends_are_told_apart_from_others() -> None:
    alignment = PartAlignment((256, 256), (64, 192))
    extent = fit_alignment(alignment, [bars(TURNS, taper=1.0)])
    assert not extent.two_ended
    assert "either way" in describe(extent, alignment)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (bars(TURNS, half=(40, 40), taper=1.0), "no main axis at 1.0"),
        (np.full((5, 256, 256, 3), 200, np.uint8), "nothing stands out from the background in 5 of 5"),
    ],
)
def test_what_cannot_be_aligned_is_refused(images: Images, message: str) -> None:
    with pytest.raises(DataError, match=f"{message}.*--align off"):
        fit_alignment(PartAlignment((256, 256), (64, 192)), [images])


@pytest.mark.parametrize(
    ("part", "side", "expected"),
    [((80, 250), 256, (128, 448)), ((1, 1), 256, (256, 256)), ((9, 300), 128, (64, 256))],
)
def test_the_strip_shows_most_for_the_cost_of_the_square(
    part: tuple[float, float], side: int, expected: tuple[int, int]
) -> None:
    strip = strip_size(part, side, 64)
    assert strip == expected
    assert strip[0] * strip[1] <= side**2

    def shown(height: int, width: int) -> float:
        return min(height / part[0], width / part[1])

    lengths = range(64, side**2 // 64 + 1, 64)
    others = [(h, w) for h in lengths for w in lengths if h * w <= side**2]
    assert max(shown(*other) for other in others) == shown(*strip)
    assert not any(shown(*o) == shown(*strip) and o[0] * o[1] < strip[0] * strip[1] for o in others)


def test_images_are_taken_as_large_as_strips_can_show_and_no_larger_than_they_are() -> None:
    extent = measure_parts(PartAlignment((256, 256), (64, 192)), [bars(TURNS)])
    # 160 of 256 pixels shown as 384 are those of an image of 565; in files of 1024 there is as much.
    assert source_size(extent, (256, 256), (128, 384), (1024, 1024)) == (640, 640)
    assert source_size(extent, (256, 256), (128, 384), (256, 256)) == (256, 256)
    height, width = source_size(extent, (160, 256), (128, 384), (1200, 1920))
    assert width == 640
    assert abs(height / width - 1200 / 1920) < 0.01
    ModelConfig.for_backbone("resnet18", align=(128, 384), align_from=(height, width))


def test_the_rule_of_the_preset(tmp_path: Path) -> None:
    free = look(files(tmp_path / "free", bars(TURNS)))
    assert reason_against(EDGE, free) is None
    model = aligned(EDGE, free)
    assert model.align == (128, 512)
    assert (model.input_size, model.seen_size) == ((256, 256), (128, 512))
    told = (
        r"they stand free, 5\.\d times as long as wide, lie in any direction, .* them 2\.6\d times as large"
    )
    assert re.fullmatch(told, reason_for(EDGE, free))

    def reason(name: str, images: Images) -> str:
        found = reason_against(EDGE, look(files(tmp_path / name, images)))
        assert found is not None
        return found

    assert "no main axis" in reason("round", bars(TURNS, half=(40, 40), taper=1.0))
    assert "only 1.4" in reason("short", bars(TURNS, half=(60, 42), taper=1.0))
    growing = np.concatenate(
        [bars([a], half=(h, h / 4)) for a, h in zip(TURNS, np.linspace(40, 100, 16), strict=True)]
    )
    assert "their area varies" in reason("growing", growing)
    assert "the images' border" in reason("cut", bars([0.0] * 8, half=(120, 40))[:, :, 60:])
    alike = bars([0.0] * 8, half=(122, 78), taper=0.9)
    assert "lie alike already" in reason("alike", alike)


def test_a_strip_that_is_given_and_one_that_the_network_cannot_take(tmp_path: Path) -> None:
    found = look(files(tmp_path, bars(TURNS)))
    assert aligned(EDGE, found, (64, 256)).align == (64, 256)
    with pytest.raises(ConfigError, match=r"align is .*100.*multiples of 64"):
        aligned(EDGE, found, (100, 256))
    with pytest.raises(DataError, match="cannot be aligned"):
        aligned(EDGE, look(files(tmp_path / "round", bars(TURNS, half=(40, 40), taper=1.0))))


def test_parts_that_a_strip_shrinks_far_are_told_of(tmp_path: Path) -> None:
    """A strip of 512 x 128 shows the bars 2.6 times as large as their images of 256 x 256 pixels."""
    found = look(files(tmp_path, bars(TURNS)))
    model = aligned(EDGE, found)
    assert strip_advice(model, found) is None
    # The same parts under a camera of 2,048 x 2,048 pixels: 8 / 2.6 is 3.
    far = dataclasses.replace(found, native=(2048, 2048))
    assert strip_advice(aligned(EDGE, far, (256, 1024)), far) is None
    advice = strip_advice(model, far)
    assert advice is not None
    said = re.search(
        r"shrunk ([\d.]+) times.* about (\d+) pixels.* `--align (\d+x\d+)` shrinks them ([\d.]+) times and "
        r"keeps those of (\d+); .* about (\d+) times",
        advice,
    )
    assert said is not None
    shrunk, narrow, strip, left, kept, cost = said.groups()
    assert (shrunk, narrow, left, kept) == ("3.0", "12", "1.4", "6")
    width, height = map(int, strip.split("x"))
    larger = aligned(EDGE, far, (height, width))
    assert strip_advice(larger, far) is None
    assert cost == f"{width * height / (512 * 128):.0f}"


@pytest.mark.parametrize("source", ["cutpaste:1", "patches:1", "nsa:1", "bends:1", "textures"])
def test_samples_are_strips(tmp_path: Path, source: str) -> None:
    """What is synthesised on, from, masked and noised is what the network sees."""
    if source == "textures":
        rng = np.random.default_rng(3)
        files(tmp_path / "textures", rng.integers(0, 256, (2, 40, 40, 3), dtype=np.uint8))
        source = f"textures={tmp_path / 'textures'}:1"
    paths = files(tmp_path, bars(TURNS))
    alignment = PartAlignment((256, 256), (64, 192))
    fit_alignment(alignment, [bars(TURNS)])
    rule = ForegroundRule.parse("otsu:dark:6:6")

    config = SynthesisConfig(source=source, noise=1.0)
    dataset = AnomalyDataset(
        paths, 256, config, rule, seed=1, view=View((256, 256), partial(strip_of, alignment))
    )
    assert dataset.images.shape == (16, 64, 192, 3)
    items = [dataset[number] for number in range(16)]
    assert {item.shown.shape for item in items} == {(64, 192, 3)}
    carried = [item for item in items if item.carries]
    assert len(carried) == 8
    assert all(item.mask.shape == (64, 192) for item in items)
    assert sum(item.mask.any() for item in carried) > 6


def test_patches_are_taken_from_strips_in_their_own_proportion(tmp_path: Path) -> None:
    paths = files(tmp_path, bars(TURNS))
    alignment = PartAlignment((256, 256), (64, 192))
    fit_alignment(alignment, [bars(TURNS)])
    view = View((256, 256), partial(strip_of, alignment))
    config = SynthesisConfig(source="patches:1")
    source = AnomalyDataset(paths, 256, config, ForegroundRule(), seed=1, view=view).source
    assert isinstance(source, MixtureSource)
    (patches,) = source.sources
    assert isinstance(patches, PatchSource)
    assert {image.shape for image in patches._donors.images} == {(64, 192, 3)}


def test_stored_before_there_was_alignment() -> None:
    document = EDGE.to_dict()
    del document["align"], document["align_from"]
    assert ModelConfig.from_dict(document) == EDGE
    with_strip = dataclasses.replace(EDGE, align=(128, 384), align_from=(256, 256))
    assert ModelConfig.from_dict(with_strip.to_dict()) == with_strip


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"align": (128,), "align_from": (256,)}, "align is"),
        ({"align": (128, 384)}, "align_from is"),
        ({"align_from": (256, 256)}, "align_from is"),
        ({"align": (128, 384), "align_from": (255, 256)}, "multiples of 2"),
        ({"align": (128, 384), "align_from": (256, 256), "tiles": (1, 2)}, "a strip is not cut"),
    ],
)
def test_sizes_that_do_not_go_together(changes: dict[str, tuple[int, ...]], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        dataclasses.replace(EDGE, **changes)


def test_the_sheet_outlines_what_the_strip_shows(tmp_path: Path) -> None:
    images = bars([0.5, 2.5, 4.0])
    paths = files(tmp_path / "good", images)
    alignment = PartAlignment((256, 256), (64, 192))
    fit_alignment(alignment, [images])
    write_sheet(tmp_path / "sheet.png", alignment, paths)
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (128 + 6 + 192, 3 * 128 + 2 * 6)
        assert np.asarray(sheet)[:, :, 1].max() >= 200
    for image in images:
        # Resampled by OpenCV from corner to corner it is what the network is shown.
        corners = outline(alignment, image)[:3].astype(np.float32)
        target = np.array([(-0.5, -0.5), (191.5, -0.5), (191.5, 63.5)], np.float32)
        matrix = cv2.getAffineTransform(corners, target)
        warped = cv2.warpAffine(image, matrix, (192, 64), borderMode=cv2.BORDER_REPLICATE)
        assert np.abs(warped.astype(int) - strip_of(alignment, image)).mean() < 2
