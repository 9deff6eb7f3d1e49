"""Parts found at any place and angle, shown in one pose, and their maps turned back."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch

from realnet_edge.data import load_category
from realnet_edge.imaging import load_batch
from realnet_edge.model.alignment import PartAlignment
from realnet_edge.training.fixture import fit_alignment

Images = npt.NDArray[np.uint8]
SIDE = 256


def nail(angle: float, middle: tuple[float, float], size: tuple[int, int] = (SIDE, SIDE)) -> Images:
    """A dark nail, thick at one end, that points to `angle` (radians, y down), on bright ground; RGB.

    Args:
        middle: x and y of the middle of its length, in pixels from the image's middle.
    """
    height, width = size
    centre = np.array([(width - 1) / 2 + middle[0], (height - 1) / 2 + middle[1]])
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    outline = np.array(
        [(-80, -24), (-60, -24), (-50, -8), (60, -6), (80, 0), (60, 6), (-50, 8), (-60, 24), (-80, 24)]
    )
    points = np.rint((outline @ turn.T + centre) * 16).astype(np.int32)
    image = np.full((height, width, 3), 200, np.uint8)
    cv2.fillPoly(image, [points], (80, 80, 80), lineType=cv2.LINE_AA, shift=4)
    return image


def tensor(*images: Images) -> torch.Tensor:
    return torch.from_numpy(np.stack(images))


@pytest.mark.parametrize("degrees", [0, 37, 89.9, 90, 135, 180, 225, 270, 359])
def test_the_axis_points_to_the_thin_end_whatever_the_angle(degrees: float) -> None:
    alignment = PartAlignment((SIDE, SIDE), (64, 192))
    pose = alignment.pose(tensor(nail(math.radians(degrees), (12.0, -20.0))))
    expected = [math.cos(math.radians(degrees)), math.sin(math.radians(degrees))]
    np.testing.assert_allclose(pose.axis[0].numpy(), expected, atol=0.02)
    assert 3 < float(pose.elongation) < 6
    assert float(pose.skewness) > 0.2
    # Its head is heavier: the centre of mass lies towards it from the middle of its length.
    back = np.array(expected) @ (pose.centre[0].numpy() - (12.0, -20.0))
    side = np.array([-expected[1], expected[0]]) @ (pose.centre[0].numpy() - (12.0, -20.0))
    assert -40 < back < -10
    assert abs(side) < 0.8


def test_strips_of_a_part_in_any_pose_look_alike() -> None:
    alignment = PartAlignment((SIDE, SIDE), (64, 192))
    poses = [(0.0, (0.0, 0.0)), (1.0, (20.0, 5.0)), (2.5, (-10.0, 30.0)), (4.4, (0.0, -25.0))]
    images = np.stack([nail(*pose) for pose in poses])
    fit_alignment(alignment, [images])
    batch = tensor(*images)
    strips = alignment(batch, alignment.pose(batch)).numpy()
    assert strips.shape == (4, 64, 192, 3)
    for other in strips[1:]:
        # Edges differ by how they fell on pixels.
        assert np.abs(other - strips[0]).mean() < 2.5
    # As large as the strip allows, with some room at the ends; the head on the left.
    dark = strips[0, :, :, 0] < 140
    columns = np.flatnonzero(dark.any(axis=0))
    assert 2 <= columns[0] <= 20
    assert 171 <= columns[-1] <= 189
    assert dark[:, :96].sum() > 1.5 * dark[:, 96:].sum()


def test_a_place_in_the_strip_is_the_same_place_in_the_image() -> None:
    """A dot on the part: where the strip shows it, a map's peak comes back to the dot."""
    alignment = PartAlignment((SIDE, SIDE), (64, 192))
    images = np.stack([nail(angle, (angle * 5, -angle * 3)) for angle in (0.3, 2.0, 4.0)])
    fit_alignment(alignment, [images])
    for image, angle in zip(images, (0.3, 2.0, 4.0), strict=True):
        spot = np.array([30 * math.cos(angle) + angle * 5, 30 * math.sin(angle) - angle * 3]) + (SIDE - 1) / 2
        x, y = np.rint(spot).astype(int)
        pose = alignment.pose(tensor(image))
        dotted = image.copy()
        dotted[y - 2 : y + 3, x - 2 : x + 3] = 255
        difference = (alignment(tensor(dotted), pose) - alignment(tensor(image), pose)).abs().mean(-1)
        back = alignment.back(difference, pose)[0].numpy()
        assert back.shape == (SIDE, SIDE)
        found = np.array(np.unravel_index(back.argmax(), back.shape))
        assert np.abs(found - (y, x)).max() <= 2
        weights = back / back.sum()
        middle = (weights.sum(1) @ np.arange(SIDE), weights.sum(0) @ np.arange(SIDE))
        np.testing.assert_allclose(middle, (y, x), atol=0.3)


def test_a_map_of_ones_comes_back_as_the_strip_and_nothing_beyond() -> None:
    alignment = PartAlignment((SIDE, SIDE), (64, 192))
    image = nail(0.7, (0.0, 0.0))
    fit_alignment(alignment, [image[None]])
    pose = alignment.pose(tensor(image))
    back = alignment.back(torch.ones(1, 64, 192), pose)[0]
    assert float(back.max()) == pytest.approx(1.0)
    assert float(back.min()) == 0.0
    part = torch.from_numpy(image[:, :, 0] < 140)
    assert float(back[part].min()) > 0.4
    # Faded over its ends, it loses half of four of its pixels all around.
    scale = float(alignment.frame[0])
    assert float(back.sum()) == pytest.approx((64 - 4) * (192 - 4) * scale**2, rel=0.02)


def test_poses_are_found_to_a_fraction_of_a_pixel() -> None:
    rng = np.random.default_rng(0)
    alignment = PartAlignment((SIDE, SIDE), (64, 192))
    poses = [(rng.uniform(-3.1, 3.1), tuple(rng.uniform(-30, 30, 2))) for _ in range(50)]
    found = alignment.pose(tensor(*(nail(*pose) for pose in poses)))
    turned = np.arctan2(found.axis[:, 1], found.axis[:, 0]).numpy() - np.array([angle for angle, _ in poses])
    assert np.abs((turned + np.pi) % (2 * np.pi) - np.pi).max() < 0.008
    away = found.centre.numpy() - [middle for _, middle in poses]
    along = np.stack([np.cos([a for a, _ in poses]), np.sin([a for a, _ in poses])], axis=1)
    assert (away * along).sum(1).std() < 0.5
    assert (away * np.stack([-along[:, 1], along[:, 0]], axis=1)).sum(1).std() < 0.1


def test_light_does_not_move_the_pose() -> None:
    alignment = PartAlignment((SIDE, SIDE), (64, 192))
    image = nail(0.7, (5.0, -9.0))
    bright, dim = (alignment.pose(tensor(np.rint(image * gain).astype(np.uint8))) for gain in (1.0, 0.5))
    for one, other in zip(bright, dim, strict=True):
        torch.testing.assert_close(one, other, atol=0.01, rtol=0.001)


def test_large_images_are_averaged_before_they_are_sampled() -> None:
    """Stripes finer than the strip shows come out grey instead of as stripes that are not there."""
    alignment = PartAlignment((1024, 1024), (64, 192))
    image = cv2.resize(nail(0.0, (0.0, 0.0)), (1024, 1024), interpolation=cv2.INTER_LINEAR)
    fit_alignment(alignment, [image[None]])
    assert alignment.shrink == 2
    striped = image.copy()
    striped[::2] = 90
    striped[1::2] = 190
    pose = alignment.pose(tensor(image))
    averaged, plain = (alignment(tensor(striped), pose, shrink) for shrink in (None, 1))
    assert float(averaged.std()) < 0.2 * float(plain.std())


def test_images_that_are_not_square() -> None:
    size = (160, 256)
    alignment = PartAlignment(size, (64, 192))
    images = np.stack([nail(0.2, (10.0, 5.0), size), nail(3.0, (-20.0, -5.0), size)])
    fit_alignment(alignment, [images])
    pose = alignment.pose(tensor(*images))
    np.testing.assert_allclose(pose.axis[0].numpy(), [math.cos(0.2), math.sin(0.2)], atol=0.02)
    strips = alignment(tensor(*images), pose)
    assert float((strips[0] - strips[1]).abs().mean()) < 3
    assert alignment.back(strips.mean(-1), pose).shape == (2, *size)


def test_an_empty_image_is_shown_as_it_lies() -> None:
    alignment = PartAlignment((SIDE, SIDE), (64, 192))
    empty = tensor(np.full((SIDE, SIDE, 3), 200, np.uint8), np.zeros((SIDE, SIDE, 3), np.uint8))
    pose = alignment.pose(empty)
    np.testing.assert_array_equal(pose.axis.numpy(), [[1, 0], [1, 0]])
    np.testing.assert_array_equal(pose.centre.numpy(), np.zeros((2, 2)))
    strips = alignment(empty, pose)
    assert torch.isfinite(strips).all()
    assert float(strips[0].min()) == float(strips[0].max()) == 200
    assert torch.isfinite(alignment.back(strips.mean(-1), pose)).all()


def test_the_background_is_the_borders_median_and_all_is_relative_to_the_mean() -> None:
    rng = np.random.default_rng(0)
    for height, width in ((256, 256), (1024, 1024), (504, 896)):
        image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        image[: height // 4] = 255
        alignment = PartAlignment((height, width), (64, 192))
        cell = alignment.cell
        cells = image.astype(np.int64).reshape(height // cell, cell, width // cell, cell, 3)
        sums = cells.sum(axis=(1, 3, 4))
        border = np.sort(np.concatenate([sums[0], sums[-1], sums[1:-1, 0], sums[1:-1, -1]]))[::-1]
        expected = np.abs(sums - border[len(border) // 2]) / sums.mean()
        np.testing.assert_allclose(alignment.differences(tensor(image))[0].numpy(), expected, rtol=1e-5)


def test_screws_lie_with_their_heads_to_the_left(mvtec_root: Path) -> None:
    """All 320 good ones and the damaged ones."""
    category = load_category(mvtec_root, "screw")
    images = load_batch([*category.train, *(sample.path for sample in category.test)], (SIDE, SIDE))
    alignment = PartAlignment((SIDE, SIDE), (128, 384))
    extent = fit_alignment(alignment, [images[: len(category.train)]])
    assert 235 < extent.size[1] < 265
    assert 70 < extent.size[0] < 95
    assert extent.two_ended
    batch = torch.from_numpy(images)
    strips = torch.cat([alignment(part, alignment.pose(part)) for part in batch.split(32)]).mean(-1).numpy()
    dark = strips < 150
    rows = dark.sum(axis=1)
    # Head, shank and tip lie where they lie in all others.
    head, tip = rows[:, 30:60].max(axis=1), rows[:, 330:370].mean(axis=1)
    assert (head > 70).mean() == 1.0
    assert (tip < 30).mean() > 0.99
