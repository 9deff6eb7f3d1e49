from __future__ import annotations

import cv2
import numpy as np
import pytest

from realnet_edge.errors import ConfigError
from realnet_edge.synthesis import ForegroundRule, NsaSource, foreground_mask, nsa
from realnet_edge.synthesis.nsa_settings import PRESETS, TEXTURE, NsaSettings

RULE = ForegroundRule.parse("otsu:dark:2:2")


def smooth(seed: int, size: tuple[int, int], levels: tuple[int, int]) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(*levels, size=(5, 6, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC))


def poisson(image: np.ndarray, patch: np.ndarray, corner: tuple[int, int]) -> np.ndarray:
    """The discrete Poisson equation, solved densely.

    All but a frame of two pixels of the patch is solved for. Gradients are forward differences, the patch's
    own from five pixels inwards and the image's in between.
    """
    rows, columns = patch.shape[0] - 2, patch.shape[1] - 2
    inner = [(r, c) for r in range(1, rows - 1) for c in range(1, columns - 1)]
    number = {place: index for index, place in enumerate(inner)}
    matrix = np.zeros((len(inner), len(inner)))
    for (r, c), index in number.items():
        matrix[index, index] = -4.0
        for near in ((r - 1, c), (r + 1, c), (r, c - 1), (r, c + 1)):
            if near in number:
                matrix[index, number[near]] = 1.0
    top, left = corner[0] + 1, corner[1] + 1
    result = image.astype(np.float64)
    for channel in range(3):
        around = result[top : top + rows, left : left + columns, channel]
        own = patch[1:-1, 1:-1, channel].astype(np.float64)
        fields = []
        for axis in (0, 1):
            steps = [np.diff(values, axis=axis, append=0.0) for values in (around, own)]
            steps[0][3:-3, 3:-3] = steps[1][3:-3, 3:-3]
            fields.append(np.diff(steps[0], axis=axis, prepend=0.0))
        border = around.copy()
        border[1:-1, 1:-1] = 0.0
        neighbours = cv2.filter2D(border, -1, np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], np.float64))
        right = (fields[0] + fields[1] - neighbours)[1:-1, 1:-1].ravel()
        around[1:-1, 1:-1] = np.linalg.solve(matrix, right).reshape(rows - 2, columns - 2)
    return np.clip(result, 0, 255)


@pytest.mark.parametrize(
    ("shape", "corner"), [((17, 22), (20, 11)), ((16, 21), (0, 0)), ((12, 13), (36, 47)), ((31, 30), (3, 9))]
)
def test_a_clone_solves_the_poisson_equation_where_the_patch_lies(
    shape: tuple[int, int], corner: tuple[int, int]
) -> None:
    image, patch = smooth(0, (48, 60), (90, 170)), smooth(1, shape, (60, 200))
    made = nsa.clone(image, patch, corner, mixed=False)
    assert np.abs(made - poisson(image, patch, corner)).max() <= 1.0 + 1e-6
    changed = np.flatnonzero((made != image).any(axis=(1, 2)))
    assert (changed[0], changed[-1]) == (corner[0] + 2, corner[0] + shape[0] - 3)
    again = nsa.clone(image, image[3:33, 4:40], (3, 4), mixed=False)
    assert cv2.absdiff(again, image).max() <= 1


def test_mixed_gradients_keep_what_a_flat_patch_would_wipe_away() -> None:
    image = np.repeat(
        (100 + 60 * (np.indices((64, 64)).sum(axis=0) // 4 % 2)).astype(np.uint8)[:, :, None], 3, axis=2
    )
    flat = np.full((40, 40, 3), 128, np.uint8)
    wiped, kept = (nsa.clone(image, flat, (12, 12), mixed)[20:44, 20:44].std() for mixed in (False, True))
    assert wiped < 10 < 20 < kept


def test_patches_have_the_published_sizes_and_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    placed: list[list[tuple[int, ...]]] = []

    def spy(image: np.ndarray, patch: np.ndarray, corner: tuple[int, int], mixed: bool) -> np.ndarray:
        placed[-1].append(patch.shape[:2])
        assert corner[0] + patch.shape[0] <= 256
        assert corner[1] + patch.shape[1] <= 256
        assert mixed == (name == "mvtec/wood")
        return image

    monkeypatch.setattr(nsa, "clone", spy)
    whole, rng = np.ones((256, 256), bool), np.random.default_rng(0)
    image = np.zeros((256, 256, 3), np.uint8)
    for name, most in (("mvtec/screw", 4), ("mvtec/wood", 4), ("mvtec/capsule", 3)):
        placed.clear()
        source = NsaSource([image], (256, 256), ForegroundRule(), name)
        for _ in range(120):
            placed.append([])
            source(image, whole, rng)
        counts = [len(one) for one in placed]
        # The first always, the others in half of the draws; few are so small that nothing of them arrives.
        assert np.mean(np.array(counts) == 0) < 0.05
        assert max(counts) == most
        assert abs(np.mean(counts) - (1 + (most - 1) / 2)) < 0.25
        settings = PRESETS[name]
        for axis, bounds in ((0, settings.height), (1, settings.width)):
            sides = np.array([shape[axis] for one in placed for shape in one])
            assert sides.min() >= max(round(bounds[0] * 256) - 1, 11)
            assert sides.max() <= round(bounds[1] * 256)
            # Half sides are 3% of the image and a Gamma variable of mean 10% more; some meet the bound.
            assert sides.max() > round(bounds[1] * 256) - 40


def test_patches_show_the_object_and_meet_it(
    bar_images: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """At least a quarter of a patch is object, and at least a quarter of that lands on the object."""
    corners: list[tuple[int, int]] = []
    met: list[float] = []

    def spy(
        area: np.ndarray, foreground: np.ndarray, settings: NsaSettings, rng: np.random.Generator
    ) -> tuple[int, int] | None:
        assert area.mean() >= 0.25
        corner = place(area, foreground, settings, rng)
        if corner is not None:
            corners.append(corner)
            window = slice(corner[0], corner[0] + area.shape[0]), slice(corner[1], corner[1] + area.shape[1])
            met.append(float((foreground[window] & area).sum() / area.sum()))
        return corner

    place = nsa._place
    monkeypatch.setattr(nsa, "_place", spy)
    source = NsaSource(bar_images, (128, 96), RULE)
    rng = np.random.default_rng(1)
    changed = 0
    for image in bar_images * 5:
        made = source(image, foreground_mask(image, RULE), rng)
        assert made.content is not None
        changed += bool(made.mask.any())
    assert changed > 30
    assert len(set(corners)) > 40
    assert 0.25 <= min(met) < 0.5


def test_where_nothing_fits_nothing_changes() -> None:
    """The donor shows no object at all, so no patch of it has enough."""
    image = np.full((64, 64, 3), 200, np.uint8)
    foreground = np.zeros((64, 64), bool)
    foreground[20:40, 20:40] = True
    # No pixel of a flat image is brighter than its own threshold.
    source = NsaSource([image], (64, 64), ForegroundRule.parse("otsu:bright:0:0"))
    made = source(image, foreground, np.random.default_rng(0))
    assert not made.mask.any()
    assert np.array_equal(made.image, image)


def test_the_mask_is_what_changed(texture_images: list[np.ndarray]) -> None:
    source = NsaSource(texture_images, (96, 128), ForegroundRule())
    rng = np.random.default_rng(2)
    made_of = [(image, source(image, np.ones((96, 128), bool), rng)) for image in texture_images * 5]
    changed = [(image, made) for image, made in made_of if made.mask.any()]
    assert len(changed) > 20
    for image, made in changed:
        change = np.abs(made.image.astype(int) - image).mean(axis=2)
        # A median over 5 x 5 pixels takes specks away and fills gaps, nothing more.
        assert (change[made.mask] > 1).mean() > 0.9
        assert (change[~made.mask] > 1).mean() < 0.02


def test_settings_that_nobody_published_are_refused() -> None:
    with pytest.raises(ConfigError, match="mvtec/screws"):
        NsaSource([np.zeros((32, 32, 3), np.uint8)], (32, 32), ForegroundRule(), "mvtec/screws")


def test_every_category_of_mvtec_has_its_settings() -> None:
    assert len(PRESETS) == 15
    assert PRESETS["mvtec/screw"].height == (0.03, 0.12)
    assert (PRESETS["mvtec/capsule"].height, PRESETS["mvtec/capsule"].width) == ((0.03, 0.15), (0.03, 0.4))
    assert PRESETS["mvtec/grid"] == TEXTURE
    assert sum(settings.mixed for settings in PRESETS.values()) == 5
