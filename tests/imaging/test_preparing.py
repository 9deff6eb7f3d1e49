"""Images and masks made ready for a network: size, type, batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from raw_files import as_rgb, random_values

from realnet_edge.errors import DataError
from realnet_edge.imaging import load_batch, load_image, load_mask, preprocess


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
