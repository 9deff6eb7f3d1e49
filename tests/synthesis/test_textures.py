from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from realnet_edge.errors import DataError
from realnet_edge.synthesis import TextureSource
from realnet_edge.synthesis.texture_augment import AUGMENTATIONS, augment_texture


def save_flat(path: Path, level: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((30, 40, 3), level, np.uint8)).save(path)
    return path


def test_images_of_subfolders_are_blended_as_they_are(tmp_path: Path) -> None:
    save_flat(tmp_path / "deep" / "er" / "A.PNG", 240)
    (tmp_path / "notes.txt").write_text("not an image")
    image = np.full((64, 64, 3), 40, np.uint8)
    source = TextureSource(tmp_path, (64, 64), augment=False, opacity=(1.0, 1.0))
    made = source(image, np.ones((64, 64), bool), np.random.default_rng(0))
    assert made.mask.any()
    assert (np.abs(made.image[made.mask].astype(int) - 240) <= 2).all()
    assert (made.image[~made.mask] == 40).all()


def test_opacity_stays_within_its_range(tmp_path: Path) -> None:
    image = np.zeros((64, 64, 3), np.uint8)
    source = TextureSource([save_flat(tmp_path / "a.png", 200)], (64, 64), augment=False)
    rng = np.random.default_rng(1)
    everywhere = np.ones((64, 64), bool)
    levels = [made.image[made.mask].max() for made in (source(image, everywhere, rng) for _ in range(100))]
    assert 0.2 * 200 - 1 <= min(levels) < 70
    assert 180 < max(levels) <= 200


def test_folders_without_images_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        TextureSource(tmp_path / "missing", (64, 64))
    with pytest.raises(DataError, match="holds no images"):
        TextureSource(tmp_path, (64, 64))
    with pytest.raises(DataError, match="no texture images"):
        TextureSource([], (64, 64))


def test_there_are_ten_augmentations_and_each_does_something() -> None:
    rng = np.random.default_rng(0)
    image = np.asarray(Image.fromarray(rng.integers(40, 200, (8, 8, 3), dtype=np.uint8)).resize((64, 48)))
    assert len({augmentation.__name__ for augmentation in AUGMENTATIONS}) == 10
    for augmentation in AUGMENTATIONS:
        results = [augmentation(image, rng) for _ in range(8)]
        assert all(result.shape == image.shape and result.dtype == np.uint8 for result in results)
        assert any(not np.array_equal(result, image) for result in results), augmentation.__name__


def test_augmenting_is_random_but_repeatable() -> None:
    image = np.random.default_rng(0).integers(0, 256, size=(32, 32, 3), dtype=np.uint8)
    results = [augment_texture(image, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert np.array_equal(results[0], results[1])
    assert not np.array_equal(results[0], results[2])
