"""What image files of every kind come out as."""

from __future__ import annotations

import warnings
from typing import Literal

import cv2
import numpy as np
import pytest
from PIL import Image
from raw_files import as_rgb, encoded, png, random_values, tiff

from realnet_edge.imaging import decode_image, image_mode


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_lossless_8_bit_files_come_out_as_they_are(kind: str, mode: str) -> None:
    values = random_values((7, 9) if mode == "L" else (7, 9, 3), 255, np.uint8)
    decoded = decode_image(encoded(Image.fromarray(values), kind))
    np.testing.assert_array_equal(decoded, as_rgb(values) if mode == "L" else values)
    assert decoded.dtype == np.uint8
    assert decoded.flags.writeable


def test_webp() -> None:
    values = random_values((7, 9, 3), 255, np.uint8)
    np.testing.assert_array_equal(
        decode_image(encoded(Image.fromarray(values), "WEBP", lossless=True)), values
    )


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize(("mode", "channels"), [("LA", 2), ("RGBA", 4)])
def test_alpha_is_dropped_not_blended(kind: str, mode: str, channels: int) -> None:
    values = random_values((7, 9, channels), 255, np.uint8)
    colour = as_rgb(values[:, :, 0]) if mode == "LA" else values[:, :, :3]
    np.testing.assert_array_equal(decode_image(encoded(Image.fromarray(values, mode), kind)), colour)


@pytest.mark.parametrize("transparency", [None, 3, bytes([0, 128, 255, 7])])
def test_palettes_are_resolved(transparency: int | bytes | None) -> None:
    colours = random_values((4, 3), 255, np.uint8)
    indices = random_values((7, 9), 3, np.uint8)
    image = Image.fromarray(indices, "P")
    image.putpalette(colours.tobytes())
    options = {} if transparency is None else {"transparency": transparency}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        decoded = decode_image(encoded(image, "PNG", **options))
    np.testing.assert_array_equal(decoded, colours[indices])


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_one_bit(kind: str) -> None:
    values = random_values((7, 9), 1, np.bool_)
    decoded = decode_image(encoded(Image.fromarray(values), kind))
    np.testing.assert_array_equal(decoded, as_rgb(values * np.uint8(255)))


@pytest.mark.parametrize(
    "ink", [(0, 0, 0, 0), (255, 0, 0, 0), (0, 255, 0, 0), (0, 0, 255, 0), (0, 0, 0, 255)]
)
def test_cmyk_jpeg_is_not_inverted(ink: tuple[int, int, int, int]) -> None:
    cyan, magenta, yellow, black = (np.array(ink) / 255).tolist()
    expected = 255 * (1 - np.array([cyan, magenta, yellow])) * (1 - black)
    decoded = decode_image(encoded(Image.new("CMYK", (16, 16), ink), "JPEG", quality=100))
    np.testing.assert_allclose(decoded, np.broadcast_to(expected, decoded.shape), atol=3)


ORIENTED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
    8: lambda a: np.rot90(a, 1),
}


@pytest.mark.parametrize("orientation", list(ORIENTED))
def test_exif_orientation_of_png_and_jpeg(orientation: int) -> None:
    values = np.kron(random_values((2, 3, 3), 255, np.uint8), np.ones((16, 16, 1), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(values)
    upright = ORIENTED[orientation](values)
    np.testing.assert_array_equal(decode_image(encoded(image, "PNG", exif=exif)), upright)
    jpeg = decode_image(encoded(image, "JPEG", exif=exif, quality=100, subsampling=0)).astype(int)
    np.testing.assert_allclose(jpeg, upright, atol=6)


@pytest.mark.parametrize("orientation", list(ORIENTED))
@pytest.mark.parametrize("order", ["<", ">"])
def test_orientation_of_16_bit_tiff(orientation: int, order: Literal["<", ">"]) -> None:
    grey = random_values((5, 6), 65535)
    upright = as_rgb(ORIENTED[orientation](np.rint(grey / 257)))
    np.testing.assert_array_equal(decode_image(tiff(grey, order, orientation=orientation)), upright)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(png(0, random_values((5, 6), 65535)), id="png"),
        pytest.param(tiff(random_values((5, 6), 65535)), id="tiff-little-endian"),
        pytest.param(tiff(random_values((5, 6), 65535), ">"), id="tiff-big-endian"),
        pytest.param(tiff(random_values((5, 6), 65535, np.int32)), id="tiff-32-bit-integers"),
        pytest.param(tiff((random_values((5, 6), 65535) / 65535).astype(np.float32)), id="tiff-float"),
    ],
)
def test_16_bit_grey_is_scaled_by_257(data: bytes) -> None:
    np.testing.assert_array_equal(
        decode_image(data), as_rgb(np.rint(random_values((5, 6), 65535) / 257)).astype(np.uint8)
    )


def test_16_bit_grey_with_alpha() -> None:
    values = random_values((5, 6, 2), 65535)
    np.testing.assert_array_equal(decode_image(png(4, values)), as_rgb(values[:, :, 0] >> 8))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(png(2, random_values((5, 6, 3), 65535)), id="png"),
        pytest.param(tiff(random_values((5, 6, 3), 65535)), id="tiff-little-endian"),
        pytest.param(tiff(random_values((5, 6, 3), 65535), ">"), id="tiff-big-endian"),
    ],
)
def test_16_bit_colour_keeps_its_high_bytes(data: bytes) -> None:
    values = random_values((5, 6, 3), 65535)
    decoded = decode_image(data)
    np.testing.assert_array_equal(decoded, values >> 8)
    assert np.abs(decoded - values / 257).max() <= 1


@pytest.mark.parametrize("compression", [1, 5, 8, 32773])
def test_16_bit_colour_tiff_of_another_writer(compression: int) -> None:
    values = random_values((40, 30, 3), 65535)
    good, data = cv2.imencode(".tif", values[:, :, ::-1], [cv2.IMWRITE_TIFF_COMPRESSION, compression])
    assert good
    np.testing.assert_array_equal(decode_image(data.tobytes()), values >> 8)


def test_12_bit_tiff_uses_its_own_range() -> None:
    values = random_values((4, 6), 4095)
    pairs = values.reshape(-1, 2).astype(int)
    packed = b"".join(bytes([a >> 4, (a & 15) << 4 | b >> 8, b & 255]) for a, b in pairs)
    np.testing.assert_array_equal(
        decode_image(tiff(values, packed=(12, packed))), as_rgb(np.rint(values * (255 / 4095)))
    )


@pytest.mark.parametrize("bits", [8, 16])
def test_white_is_zero_is_inverted(bits: int) -> None:
    top = 2**bits - 1
    values = random_values((5, 6), top, np.uint8 if bits == 8 else np.uint16)
    np.testing.assert_array_equal(
        decode_image(tiff(values, white_is_zero=True)), as_rgb(np.rint((top - values) * (255 / top)))
    )


@pytest.mark.parametrize("value", [0, 1, 100])
def test_dark_16_bit_frames_stay_dark(value: int) -> None:
    frame = np.full((5, 6), value, np.uint16)
    assert decode_image(encoded(Image.fromarray(frame), "PNG")).max() == 0
    assert decode_image(tiff((frame / 65535).astype(np.float32))).max() == 0


def test_first_page_of_several() -> None:
    first, second = random_values((2, 5, 6, 3), 255, np.uint8)
    data = encoded(Image.fromarray(first), "TIFF", save_all=True, append_images=[Image.fromarray(second)])
    np.testing.assert_array_equal(decode_image(data), first)


def test_a_large_image() -> None:
    large = Image.new("L", (9000, 7000), 200)
    large.putpixel((8999, 6999), 17)
    decoded = decode_image(encoded(large, "PNG", compress_level=1))
    assert decoded.shape == (7000, 9000, 3)
    assert decoded[-1, -1].tolist() == [17, 17, 17]
    assert decoded[0, 0].tolist() == [200, 200, 200]


def test_image_mode() -> None:
    assert image_mode(png(0, random_values((2, 2), 65535))) == "I;16"
    assert image_mode(encoded(Image.new("LA", (2, 2)), "PNG")) == "LA"
    assert image_mode(b"nothing") == "unknown"
