"""Image files that cannot be used, and what is said of them."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from raw_files import Array, encoded, random_values, tiff

from realnet_edge.errors import DataError
from realnet_edge.imaging import decode_image, load_image, load_mask


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
