"""Pixel metrics against the plain loop over thresholds that evaluations usually run.

    python benchmarks/metrics.py --data DIR [--category screw] [--images N] [--json FILE]

Both sides run in one process on the same maps, in turns, and must give the same value before their
times are compared. The maps are smoothed noise plus the real masks, smoothed: defects are found in
part, good images carry false alarms. `plain_pro` does what the official RealNet evaluation does at
each of its 1,000 thresholds: binarise all maps, label the masks again, fill each region, intersect.
`plain_au_pro` is MVTec's definition as the same loop over given thresholds; to compare values
exactly the maps are rounded to 1,000 levels, for on unrounded maps a loop over 1,000 thresholds is
only an approximation of the exact area. Run with OMP_NUM_THREADS=1 to compare single cores.
"""

from __future__ import annotations

import argparse
import itertools
import platform
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from realnet_edge import files
from realnet_edge.imaging import load_mask
from realnet_edge.metrics import au_pro, pixel_auroc, pixel_scores, pro_reference
from realnet_edge.runtime.machine import describe_machine

SIZE = (256, 256)
LEVELS = 1000
EIGHT = np.ones((3, 3), int)


def plain_pro(masks: npt.NDArray[np.bool_], maps: npt.NDArray[np.float32]) -> float:
    """The official RealNet PRO, threshold by threshold and region by region."""
    highest = maps.max()
    delta = (highest - maps.min()) / 1000
    overlaps, rates = [], []
    for step in range(1000):
        overlap, rate = _at_threshold(masks, maps, highest - step * delta, filled=True)
        overlaps.append(overlap)
        rates.append(rate)
    fpr, pro = np.array(rates), np.array(overlaps)
    kept = fpr <= 0.3
    fpr, pro = fpr[kept], pro[kept]
    fpr = (fpr - fpr.min()) / (fpr.max() - fpr.min())
    return float(np.sum(np.diff(fpr) * (pro[1:] + pro[:-1]) / 2))


def plain_au_pro(
    masks: npt.NDArray[np.bool_], maps: npt.NDArray[np.float32], thresholds: npt.NDArray[np.float32]
) -> float:
    """MVTec's AU-PRO over the given thresholds (descending), ends (0, 0) and (1, 1) added."""
    points = [(0.0, 0.0)]
    for threshold in thresholds:
        overlap, rate = _at_threshold(masks, maps, threshold, filled=False)
        points.append((rate, overlap))
    points.append((1.0, 1.0))
    area = 0.0
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        if x1 > 0.3:
            y1 = y0 + (y1 - y0) * (0.3 - x0) / (x1 - x0)
            area += (0.3 - x0) * (y0 + y1) / 2
            break
        area += (x1 - x0) * (y0 + y1) / 2
    return area / 0.3


def _at_threshold(
    masks: npt.NDArray[np.bool_], maps: npt.NDArray[np.float32], threshold: np.floating[Any], filled: bool
) -> tuple[float, float]:
    """Mean overlap of all regions and false-positive rate of the pixels above one threshold."""
    found = maps > threshold
    overlaps = []
    for mask, hit in zip(masks, found, strict=True):
        labels, _ = ndimage.label(mask, EIGHT)
        for number, box in enumerate(ndimage.find_objects(labels), start=1):
            region = labels[box] == number
            area = region.sum()
            if filled:
                region = ndimage.binary_fill_holes(region, EIGHT)
            overlaps.append((region & hit[box]).sum() / area)
    return float(np.mean(overlaps)), float((found & ~masks).sum() / (~masks).sum())


def make_maps(masks: npt.NDArray[np.bool_], seed: int = 0) -> npt.NDArray[np.float32]:
    """Maps in [0, 1] as a fair detector would give them: smooth noise everywhere, more on defects."""
    rng = np.random.default_rng(seed)
    maps = np.empty(masks.shape, np.float32)
    for index, mask in enumerate(masks):
        noise = cv2.GaussianBlur(rng.standard_normal(mask.shape).astype(np.float32), (0, 0), 4)
        defect = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 3)
        maps[index] = 1 / (1 + np.exp(-(noise / noise.std() + 4 * defect * rng.uniform(0.2, 1) - 3)))
    return maps


def load_masks(root: Path, category: str, images: int | None) -> npt.NDArray[np.bool_]:
    """(N, H, W) masks of a category's test set; good images are empty. A subset is spread evenly."""
    from realnet_edge.data import load_category

    samples = load_category(root, category).test
    if images is not None and images < len(samples):
        samples = tuple(samples[i] for i in np.linspace(0, len(samples) - 1, images).astype(int))
    return np.stack([load_mask(s.mask, SIZE) if s.mask else np.zeros(SIZE, bool) for s in samples])


def timed(function: Callable[[], float], repeats: int = 1) -> tuple[float, float]:
    """Value and shortest wall time in seconds of `repeats` calls."""
    seconds, value = [], 0.0
    for _ in range(repeats):
        start = time.perf_counter()
        value = function()
        seconds.append(time.perf_counter() - start)
    return value, min(seconds)


def compare(name: str, fast: Callable[[], float], plain: Callable[[], float]) -> dict[str, Any]:
    """One result row: fast, plain, fast again, so that a slow spell of the machine shows in both."""
    value, first = timed(fast, 3)
    expected, plain_seconds = timed(plain)
    _, second = timed(fast, 3)
    if abs(value - expected) > 1e-9:
        raise SystemExit(f"{name}: {value!r} differs from the plain loop's {expected!r}; not timed.")
    # The slower of the two fast runs: the speed-up is not the luckiest one.
    fast_seconds = max(first, second)
    return {
        "metric": name,
        "value": value,
        "difference": abs(value - expected),
        "fast_s": fast_seconds,
        "plain_s": plain_seconds,
        "speed_up": plain_seconds / fast_seconds,
    }


def main() -> None:
    """Run the comparison and print one row a metric."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds the category")
    parser.add_argument("--category", default="screw")
    parser.add_argument("--images", type=int, help="use that many test images only (the plain loop is slow)")
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    options = parser.parse_args()

    masks = load_masks(options.data, options.category, options.images)
    maps = make_maps(masks)
    levels = np.rint(maps * LEVELS).astype(np.float32)
    steps = np.unique(levels)[::-1] - np.float32(0.5)
    rows = [
        compare("pro_reference", lambda: pro_reference(masks, maps), lambda: plain_pro(masks, maps)),
        compare("au_pro", lambda: au_pro(masks, levels), lambda: plain_au_pro(masks, levels, steps)),
    ]
    for row in rows:
        row |= {"images": len(masks), "height": SIZE[0], "width": SIZE[1]}
        print(
            f"{row['metric']:14s} {len(masks)} images: "
            f"plain {row['plain_s']:.1f} s, fast {row['fast_s']:.3f} s, "
            f"{row['speed_up']:.0f}x, difference {row['difference']:.1e}"
        )
    unrounded = {
        "pixel_auroc": timed(lambda: pixel_auroc(masks, maps), 3)[1],
        "au_pro": timed(lambda: au_pro(masks, maps), 3)[1],
        "all three": timed(lambda: pixel_scores(masks, maps).au_pro, 3)[1],
    }
    print("unrounded maps: " + ", ".join(f"{name} {seconds:.3f} s" for name, seconds in unrounded.items()))
    if options.json:
        document = {
            "date": datetime.now(timezone.utc).date().isoformat(),
            "device": describe_machine().cpu,
            "python": platform.python_version(),
            "numpy": np.__version__,
            "opencv": cv2.__version__,
            "rows": rows,
            "unrounded_s": unrounded,
        }
        files.write_json(options.json, document)
        print(f"written: {options.json}")


if __name__ == "__main__":
    main()
