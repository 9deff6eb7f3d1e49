"""Pixel formats of industrial cameras, against pictures whose colours are known."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from realnet_edge.camera.pixels import rgb_of
from realnet_edge.errors import DataError

# Red, green, blue: different everywhere a mistake could swap them.
COLOUR = (200, 100, 40)


def mosaic(first: str, bits: int = 8) -> npt.NDArray[np.uint16]:
    """An 8x12 picture of one colour as a sensor sees it whose first row begins with these two."""
    row = {"RG": "RGGB", "GR": "GRBG", "GB": "GBRG", "BG": "BGGR"}[first]
    value = dict(zip("RGB", COLOUR, strict=True))
    tile = np.array([value[letter] * (2**bits - 1) // 255 for letter in row], np.uint16)
    return np.tile(tile.reshape(2, 2), (4, 6)).ravel()


@pytest.mark.parametrize("first", ["RG", "GR", "GB", "BG"])
@pytest.mark.parametrize(("name", "bits"), [("8", 8), ("10", 10), ("12p", 12), ("16", 16)])
def test_bayer_mosaics_become_their_colours(first: str, name: str, bits: int) -> None:
    samples = mosaic(first, bits).astype(np.uint8 if bits == 8 else np.uint16)
    picture = rgb_of(samples, f"Bayer{first}{name}", 12, 8)
    assert (picture.shape, picture.dtype) == ((8, 12, 3), np.uint8)
    np.testing.assert_allclose(picture, np.broadcast_to(COLOUR, (8, 12, 3)), atol=1)


@pytest.mark.parametrize(
    ("name", "samples", "expected"),
    [
        ("RGB8", [1, 2, 3, 4, 5, 6], [[1, 2, 3], [4, 5, 6]]),
        ("BGR8", [3, 2, 1, 6, 5, 4], [[1, 2, 3], [4, 5, 6]]),
        ("RGBa8", [1, 2, 3, 9, 4, 5, 6, 9], [[1, 2, 3], [4, 5, 6]]),
        ("BGRa8", [3, 2, 1, 9, 6, 5, 4, 9], [[1, 2, 3], [4, 5, 6]]),
        ("Mono8", [7, 255], [[7] * 3, [255] * 3]),
    ],
)
def test_channels_come_in_the_order_red_green_blue(
    name: str, samples: list[int], expected: list[list[int]]
) -> None:
    picture = rgb_of(np.array(samples, np.uint8), name, 2, 1)
    np.testing.assert_array_equal(picture[0], expected)
    assert picture.flags.owndata
    assert picture.flags.writeable


@pytest.mark.parametrize(
    ("name", "bits"), [("Mono10", 10), ("Mono12Packed", 12), ("Mono14", 14), ("Mono16", 16)]
)
def test_many_bits_are_scaled_by_the_format_and_not_by_the_values(name: str, bits: int) -> None:
    values = np.array([0, 1, 2 ** (bits - 3), 2 ** (bits - 1), 2**bits - 1], np.uint16)
    picture = rgb_of(values, name, 5, 1)
    np.testing.assert_array_equal(picture[0, :, 0], np.rint(values * 255.0 / (2**bits - 1)))
    # A dark picture stays dark.
    assert rgb_of(values[:2], name, 2, 1).max() <= 1


def test_padding_at_the_ends_of_rows_is_cut_off() -> None:
    samples = np.array([1, 2, 3, 99, 4, 5, 6, 99], np.uint8)
    np.testing.assert_array_equal(rgb_of(samples, "Mono8", 3, 2)[..., 0], [[1, 2, 3], [4, 5, 6]])


def test_formats_without_a_rule_and_short_buffers_are_refused() -> None:
    with pytest.raises(DataError, match="sends YUV422_8, which is not read here: set its PixelFormat"):
        rgb_of(np.zeros(8, np.uint8), "YUV422_8", 2, 2)
    with pytest.raises(DataError, match="7 samples are too few for 2x2 RGB8"):
        rgb_of(np.zeros(7, np.uint8), "RGB8", 2, 2)
