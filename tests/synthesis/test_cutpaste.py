from __future__ import annotations

import numpy as np

from realnet_edge.synthesis import CutPasteSource


def test_patches_have_the_published_sizes() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, size=(256, 256, 3), dtype=np.uint8)
    shares, aspects = [], []
    for _ in range(300):
        mask = CutPasteSource()(image, np.ones((256, 256), bool), rng).mask
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        inside = min(rows[0], columns[0]) > 0 and max(rows[-1], columns[-1]) < 255
        # On noise every pasted pixel differs, so the mask is the whole patch.
        if inside and mask.sum() > 1000:
            shares.append(mask.mean())
            aspects.append((columns[-1] - columns[0] + 1) / (rows[-1] - rows[0] + 1))
    assert len(shares) > 60
    assert 0.018 < min(shares) < 0.05 < 0.1 < max(shares) < 0.155
    assert 0.28 < min(aspects) < 0.5 < 2.0 < max(aspects) < 3.45


def test_scars_are_thin_and_turned() -> None:
    rng = np.random.default_rng(1)
    image = rng.integers(0, 256, size=(256, 256, 3), dtype=np.uint8)
    areas = [CutPasteSource()(image, np.ones((256, 256), bool), rng).mask.sum() for _ in range(200)]
    small = [area for area in areas if area <= 16 * 25 * 1.1]
    assert 70 < len(small) < 130


def test_one_form_alone_can_be_wanted() -> None:
    rng = np.random.default_rng(4)
    image = rng.integers(0, 256, size=(256, 256, 3), dtype=np.uint8)
    # A scar has 400 pixels at most, a rectangle at least 2% of the image: 1,311, less what lies outside.
    for form, low, high in (("scar", 10, 440), ("rectangle", 300, 10_000)):
        source = CutPasteSource(form)
        areas = [source(image, np.ones((256, 256), bool), rng).mask.sum() for _ in range(60)]
        assert low < min(areas) <= max(areas) < high


def test_the_patch_shrinks_with_the_object() -> None:
    rng = np.random.default_rng(2)
    image = rng.integers(0, 256, size=(256, 256, 3), dtype=np.uint8)
    foreground = np.zeros((256, 256), bool)
    foreground[100:164, 100:164] = True
    for _ in range(100):
        mask = CutPasteSource()(image, foreground, rng).mask
        assert mask.sum() <= max(0.15 * 64 * 64, 16 * 25) * 1.15
        assert not mask[:90].any()


def test_pasted_pixels_are_the_images_own_hardly_jittered() -> None:
    rng = np.random.default_rng(3)
    image = np.repeat(rng.integers(100, 141, size=(64, 64, 1), dtype=np.uint8), 3, axis=2)
    for _ in range(40):
        made = CutPasteSource()(image, np.ones((64, 64), bool), rng)
        assert made.mask.any()
        assert np.array_equal(made.image[~made.mask], image[~made.mask])
        # 100..140, a tenth brighter or darker, then a tenth more or less contrast about the mean.
        assert made.image.min() >= 86
        assert made.image.max() <= 160
