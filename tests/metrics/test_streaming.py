from __future__ import annotations

import tracemalloc
from types import ModuleType

import numpy as np
import numpy.typing as npt
import pytest

from realnet_edge.errors import DataError
from realnet_edge.metrics import au_pro, pixel_auroc
from realnet_edge.metrics.official import pro_reference
from realnet_edge.metrics.precision_recall import pixel_average_precision, pixel_f1_max
from realnet_edge.metrics.streaming import PixelStream, StreamedScores


def streamed(masks: npt.NDArray[np.bool_], maps: npt.NDArray[np.float32]) -> StreamedScores:
    stream = PixelStream()
    for mask, anomaly_map in zip(masks, maps, strict=True):
        stream.update(mask, anomaly_map)
    return stream.scores()


def maps_like_an_engines(masks: npt.NDArray[np.bool_], seed: int) -> npt.NDArray[np.float32]:
    """Sigmoids: nearly all pixels close to 0, defects anywhere."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(-6, 2, masks.shape) + 5 * masks * rng.uniform(0, 1, masks.shape)
    return (1.0 / (1.0 + np.exp(-logits))).astype(np.float32)


def maps_of_a_sure_network(
    masks: npt.NDArray[np.bool_], normal: tuple[float, float], raised: float, seed: int
) -> npt.NDArray[np.float32]:
    """Sigmoids up to 1 itself: many pixels lie as close to 1 as others to 0."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(*normal, masks.shape) + raised * masks * rng.uniform(0.3, 1, masks.shape)
    return (1.0 / (1.0 + np.exp(-logits))).astype(np.float32)


def assert_exact(masks: npt.NDArray[np.bool_], maps: npt.NDArray[np.float32]) -> None:
    found = streamed(masks, maps)
    assert found.pixel_auroc == pytest.approx(pixel_auroc(masks, maps), abs=1e-4)
    assert found.au_pro == pytest.approx(au_pro(masks, maps), abs=1e-4)
    assert found.pro_reference == pytest.approx(pro_reference(masks, maps), abs=1e-4)
    assert found.average_precision == pytest.approx(pixel_average_precision(masks, maps), abs=1e-4)
    best, threshold = pixel_f1_max(masks, maps)
    assert found.f1_max == pytest.approx(best, abs=1e-4)
    assert found.f1_threshold == pytest.approx(threshold, rel=1e-2)


def rectangles(seed: int) -> npt.NDArray[np.bool_]:
    """Twelve masks; the last eight have a rectangle each."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((12, 64, 64), bool)
    for mask in masks[4:]:
        top, left = rng.integers(0, 48, 2)
        mask[top : top + rng.integers(2, 16), left : left + rng.integers(2, 16)] = True
    return masks


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_equals_the_exact_metrics(seed: int) -> None:
    masks = rectangles(seed)
    assert_exact(masks, maps_like_an_engines(masks, seed))


@pytest.mark.parametrize(
    ("normal", "raised"), [((-6, 3.5), 22), ((-5, 3), 20), ((-2, 4), 14), ((4, 2), 5), ((0, 0.5), 1)]
)
def test_equals_the_exact_metrics_where_maps_reach_one(normal: tuple[float, float], raised: float) -> None:
    masks = rectangles(4)
    assert_exact(masks, maps_of_a_sure_network(masks, normal, raised, seed=4))


def test_equals_the_exact_metrics_on_real_masks(plain: ModuleType, mvtec_root: object) -> None:
    masks = plain.load_masks(mvtec_root, "screw", 20)
    assert_exact(masks, maps_like_an_engines(masks, 3))


def test_regions_with_holes_count_as_the_official_code_counts_them() -> None:
    masks = np.zeros((4, 64, 64), bool)
    masks[1:, 8:40, 8:40] = True
    masks[1:, 16:32, 16:32] = False
    masks[2, 22:26, 22:26] = True  # a region in the hole of another
    assert_exact(masks, maps_like_an_engines(masks, 7))


def test_flat_maps_have_no_official_pro() -> None:
    masks = np.zeros((1, 8, 8), bool)
    masks[0, 0] = True
    assert streamed(masks, np.full((1, 8, 8), 0.25, np.float32)).pro_reference is None


def test_ends_of_the_range_have_bins_of_their_own() -> None:
    masks = np.zeros((1, 4, 4), bool)
    masks[0, 0] = True
    maps = np.zeros((1, 4, 4), np.float32)
    maps[0, 0] = 1.0
    maps[0, 1] = -0.0
    found = streamed(masks, maps)
    assert (found.pixel_auroc, found.average_precision, found.f1_max, found.f1_threshold) == (1, 1, 1, 1)


def test_the_threshold_of_f1_parts_what_it_says() -> None:
    """Neighbours in float32, on either side of the border of two bins above one half."""
    border = np.float32(0.75)
    maps = np.full((1, 10, 10), border)
    maps[0, 5:] = np.nextafter(border, np.float32(1))
    masks = maps > border
    found = streamed(masks, maps)
    assert found.f1_max == 1
    assert np.array_equal(maps >= found.f1_threshold, masks)


def test_memory_does_not_grow_with_the_images() -> None:
    masks = np.zeros((1, 256, 256), bool)
    masks[0, 10:20, 10:20] = True
    maps = maps_like_an_engines(masks, 5)
    stream = PixelStream()
    stream.update(masks[0], maps[0])
    tracemalloc.start()
    for _ in range(200):
        stream.update(masks[0], maps[0])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # 200 maps alone would take 52 MB.
    assert peak < 40e6
    assert stream.scores().pixel_auroc == pytest.approx(pixel_auroc(masks, maps), abs=1e-4)


def test_what_cannot_be_binned_is_refused_and_leaves_nothing_behind() -> None:
    stream = PixelStream()
    good = np.zeros((4, 4))
    with pytest.raises(DataError, match="both must be"):
        stream.update(good, np.zeros((4, 5)))
    with pytest.raises(DataError, match=r"only values in \[0, 1\] have bins"):
        stream.update(good, good + 1.5)
    with pytest.raises(DataError, match="NaN"):
        stream.update(good, good + np.nan)
    stream.update(good, good)
    with pytest.raises(DataError, match="normal and anomalous"):
        stream.scores()
