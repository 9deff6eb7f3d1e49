"""Overlays: the map's share, the fixed scale, the outline and the caption, pixel by pixel."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from realnet_edge.errors import DataError
from realnet_edge.report.overlay import draw_contour, heat_colours, heat_legend, overlay


@pytest.fixture
def image() -> npt.NDArray[np.uint8]:
    return np.random.default_rng(0).integers(60, 200, (96, 128, 3), dtype=np.uint8)


def test_zero_map_leaves_the_image(image: npt.NDArray[np.uint8]) -> None:
    np.testing.assert_array_equal(overlay(image, np.zeros((24, 32), np.float32)), image)


def test_change_grows_with_the_map(image: npt.NDArray[np.uint8]) -> None:
    image = np.full_like(image, 200)
    moved = [
        np.abs(overlay(image, np.full((8, 8), value, np.float32)).astype(int) - 200).mean()
        for value in (0.0, 0.1, 0.2, 0.4)
    ]
    assert moved == sorted(moved)
    assert moved[1] > 2


def test_scale_is_fixed_not_per_image(image: npt.NDArray[np.uint8]) -> None:
    faint = np.zeros((96, 128), np.float32)
    faint[40:50, 40:50] = 0.02
    strong = faint.copy()
    strong[70:80, 70:80] = 1.0
    # A strong spot elsewhere must not change how a faint one is drawn.
    with_strong, alone = overlay(image, strong), overlay(image, faint)
    np.testing.assert_array_equal(with_strong[40:50, 40:50], alone[40:50, 40:50])
    assert np.abs(alone.astype(int) - image).max() < 12
    assert np.abs(with_strong[70:80, 70:80].astype(int) - image[70:80, 70:80]).mean() > 30


def test_values_outside_the_range_are_cut(image: npt.NDArray[np.uint8]) -> None:
    ones, more = np.ones((96, 128), np.float32), np.full((96, 128), 1.3, np.float32)
    np.testing.assert_array_equal(overlay(image, ones), overlay(image, more))


def test_half_precision_maps_are_drawn_alike(image: npt.NDArray[np.uint8]) -> None:
    values = np.linspace(0, 1, 96 * 128, dtype=np.float32).reshape(96, 128).astype(np.float16)
    single = values.astype(np.float32)
    np.testing.assert_array_equal(overlay(image, values), overlay(image, single))


def test_map_is_resized_bilinearly() -> None:
    white = np.full((64, 64, 3), 255, np.uint8)
    drawn = overlay(white, np.array([[0.0, 0.4]], np.float32)).astype(int).sum(axis=2)[32]
    assert (np.diff(drawn[18:46]) < 0).all(), "a smooth ramp, no step"


def test_input_is_not_changed(image: npt.NDArray[np.uint8]) -> None:
    before = image.copy()
    overlay(image, np.ones((96, 128), np.float32), mask=np.ones((96, 128), np.bool_), label="x")
    np.testing.assert_array_equal(image, before)


def test_contour_surrounds_the_mask_and_spares_it(image: npt.NDArray[np.uint8]) -> None:
    mask = np.zeros((96, 128), np.bool_)
    mask[30:50, 60:80] = True
    drawn = overlay(image, np.zeros((96, 128), np.float32), mask=mask)
    np.testing.assert_array_equal(drawn[30:50, 60:80], image[30:50, 60:80])
    assert (drawn[28, 60:80] == 255).all()
    assert (drawn[51, 60:80] == 255).all()
    assert (drawn[27, 60:80] == 0).all(), "a dark edge, for bright images"
    changed = (drawn != image).any(axis=2)
    assert not changed[:25].any()
    assert not changed[:, 90:].any()


def test_contour_of_a_tiny_mask_survives_shrinking() -> None:
    image = np.full((64, 64, 3), 120, np.uint8)
    mask = np.zeros((1024, 1024), np.bool_)
    mask[500:503, 500:503] = True
    assert (draw_contour(image, mask) == 255).any()


def test_empty_mask_draws_nothing(image: npt.NDArray[np.uint8]) -> None:
    np.testing.assert_array_equal(draw_contour(image, np.zeros((96, 128), np.bool_)), image)


@pytest.mark.parametrize(("score", "channel"), [(0.71, 0), (0.5, 1), (0.2, 1)])
def test_caption_takes_the_verdicts_colour(image: npt.NDArray[np.uint8], score: float, channel: int) -> None:
    drawn = overlay(image, np.zeros((8, 8), np.float32), "scratch/003.png", threshold=0.5, score=score)
    np.testing.assert_array_equal(drawn[:96], image)
    ground = drawn[-1, -1]
    assert drawn.shape[0] > 96
    assert ground.argmax() == channel
    assert ground[channel] > 80


def test_caption_differs_with_its_words(image: npt.NDArray[np.uint8]) -> None:
    flat = np.zeros((8, 8), np.float32)
    assert not np.array_equal(overlay(image, flat, "good/000.png"), overlay(image, flat, "good/001.png"))


@pytest.mark.parametrize("size", [(1, 1), (7, 300), (300, 7), (1300, 900)])
def test_any_image_size(size: tuple[int, int]) -> None:
    image = np.full((*size, 3), 128, np.uint8)
    mask = np.ones((16, 16), np.bool_)
    drawn = overlay(image, np.ones((16, 16), np.float32), "a long name, \u65e5\u672c.png", 0.5, mask, 0.6)
    assert drawn.shape[0] > size[0]
    assert drawn.shape[1:] == (size[1], 3)
    assert drawn.dtype == np.uint8


@pytest.mark.parametrize(
    ("image", "anomaly_map", "mask"),
    [
        (np.zeros((8, 8), np.uint8), np.zeros((8, 8), np.float32), None),
        (np.zeros((8, 8, 3), np.float32), np.zeros((8, 8), np.float32), None),
        (np.zeros((8, 8, 3), np.uint8), np.zeros((1, 8, 8), np.float32), None),
        (np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), np.uint8), None),
        (np.zeros((8, 8, 3), np.uint8), np.full((8, 8), np.nan, np.float32), None),
        (np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), np.float32), np.zeros((8, 8), np.uint8)),
    ],
)
def test_wrong_arrays_are_refused(
    image: npt.NDArray[np.uint8], anomaly_map: npt.NDArray[np.float32], mask: npt.NDArray[np.bool_] | None
) -> None:
    with pytest.raises(DataError):
        overlay(image, anomaly_map, mask=mask)


def test_colours_rise_in_lightness() -> None:
    ramp = heat_colours(np.linspace(0, 1, 64, dtype=np.float32)[None])[0].astype(float)
    lightness = ramp @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(lightness) > -1).all()
    assert lightness[-1] - lightness[0] > 200


def test_legend_spans_the_scale() -> None:
    legend = heat_legend(200, 10)
    np.testing.assert_array_equal(legend[0, 0], heat_colours(np.zeros((1, 1), np.float32))[0, 0])
    np.testing.assert_array_equal(legend[0, -1], heat_colours(np.ones((1, 1), np.float32))[0, 0])
    assert legend.shape[0] > 10
    with pytest.raises(DataError):
        heat_legend(10, 10)
