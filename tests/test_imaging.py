from __future__ import annotations

import io
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from realnet_edge.errors import DataError
from realnet_edge.imaging import (
    decode_image,
    image_mode,
    load_batch,
    load_image,
    load_mask,
    preprocess,
)

Array = npt.NDArray[Any]


def random_values(shape: tuple[int, ...], top: int, dtype: type = np.uint16) -> Array:
    values: Array = np.random.default_rng(0).integers(0, top + 1, shape).astype(dtype)
    return values


def as_rgb(grey: Array) -> Array:
    return np.repeat(grey[:, :, None], 3, axis=2)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def png(colour_type: int, rows: Array) -> bytes:
    """A 16-bit PNG written from the format's specification; Pillow writes no 16-bit colour."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", rows.shape[1], rows.shape[0], 16, colour_type, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row.astype(">u2").tobytes() for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def tiff(
    values: Array,
    order: Literal["<", ">"] = "<",
    white_is_zero: bool = False,
    orientation: int = 1,
    separate: bool = False,
    packed: tuple[int, bytes] | None = None,
) -> bytes:
    """An uncompressed TIFF written from the TIFF 6.0 specification, to have every kind of it."""
    height, width = values.shape[:2]
    samples = 1 if values.ndim == 2 else values.shape[2]
    planes = samples if separate else 1
    bits, data = packed or (
        values.dtype.itemsize * 8,
        (np.moveaxis(values, 2, 0) if separate else values)
        .astype(values.dtype.newbyteorder(order))
        .tobytes(),
    )
    photometric = 2 if samples == 3 else 0 if white_is_zero else 1
    sample_format = {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    strip = len(data) // planes
    tags: list[tuple[int, str, list[int]]] = [
        (256, "I", [width]),
        (257, "I", [height]),
        (258, "H", [bits] * samples),
        (259, "H", [1]),
        (262, "H", [photometric]),
        (273, "I", [0] * planes),
        (274, "H", [orientation]),
        (277, "H", [samples]),
        (278, "I", [height]),
        (279, "I", [strip] * planes),
        (284, "H", [2 if separate else 1]),
        (339, "H", [sample_format] * samples),
    ]
    extra_at = 8 + 2 + 12 * len(tags) + 4
    extra_size = sum(
        n for n in (struct.calcsize(f"{len(values)}{code}") for _, code, values in tags) if n > 4
    )
    entries, extra = b"", b""
    for number, code, content in tags:
        if number == 273:
            content = [extra_at + extra_size + plane * strip for plane in range(planes)]
        raw = struct.pack(f"{order}{len(content)}{code}", *content)
        if len(raw) > 4:
            raw, extra = struct.pack(f"{order}I", extra_at + len(extra)), extra + raw
        entries += struct.pack(f"{order}HHI", number, {"H": 3, "I": 4}[code], len(content))
        entries += raw.ljust(4, b"\0")
    magic = b"II*\0" if order == "<" else b"MM\0*"
    directory = struct.pack(f"{order}IH", 8, len(tags)) + entries + struct.pack(f"{order}I", 0)
    return magic + directory + extra + data


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


@pytest.mark.parametrize(
    "values",
    [
        pytest.param(np.full((5, 6), 1.5, np.float32), id="float-above-1"),
        pytest.param(np.full((5, 6), np.nan, np.float32), id="nan"),
        pytest.param(np.full((5, 6), -1, np.int16), id="negative"),
        pytest.param(np.full((5, 6), 65536, np.int32), id="beyond-16-bits"),
    ],
)
def test_values_without_a_known_range_are_refused(values: Array) -> None:
    with pytest.raises(DataError, match=r"part.tif: cannot be used \(pixel values outside \[0, (1|65535)\]"):
        decode_image(tiff(values), "part.tif")


def test_separate_16_bit_planes_are_refused_because_they_would_be_noise() -> None:
    values = random_values((5, 6, 3), 65535)
    # The 8-bit kind is read well; so it is only the wide one that has to go.
    eight = values.astype(np.uint8)
    np.testing.assert_array_equal(decode_image(tiff(eight, separate=True)), eight)
    with pytest.raises(DataError, match=r"separate colour planes.*save it interleaved"):
        decode_image(tiff(values, separate=True))


def test_missing_empty_cut_and_foreign_files(tmp_path: Path) -> None:
    whole = encoded(Image.fromarray(random_values((64, 64, 3), 255, np.uint8)), "PNG")
    cases = {
        "empty.png": (b"", "the file is empty"),
        "cut.png": (whole[: len(whole) // 2], "cannot be decoded"),
        "text.jpg": (b"not an image", "no PNG, JPEG, BMP, TIFF or WebP"),
        "postscript.png": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no PNG, JPEG"),
    }
    for name, (content, message) in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=message) as caught:
            load_image(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value)
        with pytest.raises(DataError, match=message):
            load_mask(tmp_path / name)
    with pytest.raises(DataError, match="no such image file"):
        load_image(tmp_path / "gone.png")
    with pytest.raises(DataError, match="no such mask file"):
        load_mask(tmp_path / "gone.png")
    with pytest.raises(DataError, match="cannot be read"):
        load_image(tmp_path)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP", "BMP"])
def test_damaged_bytes_never_raise_anything_but_a_data_error(kind: str) -> None:
    rng = np.random.default_rng(1)
    exif = Image.Exif()
    exif[0x0112] = 6
    options = {} if kind == "BMP" else {"exif": exif}
    whole = encoded(Image.fromarray(random_values((20, 24, 3), 255, np.uint8)), kind, **options)
    refused = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(200):
            damaged = bytearray(whole)
            for place in rng.integers(0, min(len(damaged), 300), 3):
                damaged[place] = rng.integers(0, 256)
            try:
                assert decode_image(bytes(damaged)).shape[2] == 3
            except DataError:
                refused += 1
    assert refused > 0


def test_absurdly_large_images_are_refused_by_their_header(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    data = encoded(Image.new("L", (100, 100)), "PNG")
    with pytest.raises(DataError, match=r"10000 pixels.*Crop the image or cut it into tiles"):
        decode_image(data)


def test_a_large_image() -> None:
    large = Image.new("L", (9000, 7000), 200)
    large.putpixel((8999, 6999), 17)
    decoded = decode_image(encoded(large, "PNG", compress_level=1))
    assert decoded.shape == (7000, 9000, 3)
    assert decoded[-1, -1].tolist() == [17, 17, 17]
    assert decoded[0, 0].tolist() == [200, 200, 200]


def test_preprocess_is_antialiased_and_separable() -> None:
    # Stripes one pixel wide: antialiasing by 8 turns them grey; plain bilinear would keep some of them.
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    shrunk = preprocess(stripes, (8, 8))
    assert shrunk.shape == (8, 8, 3)
    assert 120 <= shrunk.min() <= shrunk.max() <= 135


def test_preprocess_height_comes_first_and_same_size_is_untouched() -> None:
    image = random_values((30, 40, 3), 255, np.uint8).astype(np.uint8)
    assert preprocess(image, (10, 20)).shape == (10, 20, 3)
    np.testing.assert_array_equal(preprocess(image, (30, 40)), image)
    assert preprocess(image[:, ::-1], (30, 40)).flags.c_contiguous
    np.testing.assert_array_equal(preprocess(image[:, ::-1], (30, 40)), image[:, ::-1])


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
    ],
)
def test_preprocess_refuses_other_arrays(image: npt.NDArray[np.uint8]) -> None:
    with pytest.raises(DataError, match="expected an"):
        preprocess(image, (4, 4))


def test_load_batch(tmp_path: Path) -> None:
    images = random_values((3, 16, 16, 3), 255, np.uint8)
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(image).save(path)
    batch = load_batch(paths, (16, 16))
    np.testing.assert_array_equal(batch, images)
    assert batch.dtype == np.uint8
    with pytest.raises(DataError, match="no images"):
        load_batch([], (16, 16))


@pytest.mark.parametrize("value", [1, 255])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "1"])
def test_masks_of_every_mode_mean_above_zero(tmp_path: Path, mode: str, value: int) -> None:
    marked = random_values((6, 8), 1, np.bool_)
    grey = Image.fromarray(marked * np.uint8(value))
    if mode == "P":
        image = Image.fromarray(marked.astype(np.uint8), "P")
        # Index 1 is a blue so dark that its brightness rounds to 0.
        image.putpalette([0, 0, 0, 0, 0, value])
    elif mode == "RGBA":
        image = Image.fromarray(np.dstack([as_rgb(np.asarray(grey)), np.full((6, 8), 255, np.uint8)]))
    else:
        image = Image.fromarray(marked) if mode == "1" else grey.convert(mode)
    image.save(tmp_path / "mask.png")
    mask = load_mask(tmp_path / "mask.png")
    assert mask.dtype == np.bool_
    np.testing.assert_array_equal(mask, marked)


def test_16_bit_masks_keep_the_smallest_value(tmp_path: Path) -> None:
    marked = random_values((6, 8), 1, np.uint16)
    Image.fromarray(marked).save(tmp_path / "mask.png")
    np.testing.assert_array_equal(load_mask(tmp_path / "mask.png"), marked > 0)


def test_masks_are_resized_to_the_nearest_pixel(tmp_path: Path) -> None:
    marked = np.zeros((4, 8), np.uint8)
    marked[1, 2] = 255
    Image.fromarray(marked).save(tmp_path / "mask.png")
    mask = load_mask(tmp_path / "mask.png", (8, 24))
    assert mask.shape == (8, 24)
    np.testing.assert_array_equal(mask, np.kron(marked > 0, np.ones((2, 3), bool)))


def test_image_mode() -> None:
    assert image_mode(png(0, random_values((2, 2), 65535))) == "I;16"
    assert image_mode(encoded(Image.new("LA", (2, 2)), "PNG")) == "LA"
    assert image_mode(b"nothing") == "unknown"


@pytest.mark.parametrize(
    ("original", "resized"),
    [
        ("000.png", "train/good/000.png"),
        ("001.png", "train/good/001.png"),
        ("002.png", "train/good/002.png"),
        ("003.png", "train/good/003.png"),
        ("defect-0113.png", "test/scratch_head/011.png"),
        ("defect-014.png", "test/thread_top/014.png"),
    ],
)
def test_preprocess_equals_the_published_256_images(mvtec_root: Path, original: str, resized: str) -> None:
    full = mvtec_root.parent / "screw-fullsize" / original
    if not full.is_file():
        pytest.skip("needs MVTec AD's screws in their full size, in screw-fullsize beside the data folder")
    image = load_image(full)
    assert image.shape == (1024, 1024, 3)
    np.testing.assert_array_equal(preprocess(image, (256, 256)), load_image(mvtec_root / "screw" / resized))
