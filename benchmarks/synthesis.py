"""Synthetic samples a second on one core, for each anomaly source.

    python benchmarks/synthesis.py [--data DIR --category NAME] [--size 256] [--seconds 3] [--textures DIR]

One process, one thread, images already decoded: what a training's worker process does for each
anomalous sample. Time is processor time of this process, so that other programs on the machine
count less than in wall time (they still share its caches). Sources run in turns, over several
rounds; a row holds the median round. Without --data a made category of dark bars stands in; the
whole image as foreground and an object's are both measured, for the size of the masks decides.
Rows are appended to benchmarks/results/synthesis.csv.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image
from rows import RESULTS, append_rows, machine

from realnet_edge.imaging import load_batch
from realnet_edge.synthesis import (
    OWN_SOURCES,
    AnomalySource,
    ForegroundRule,
    choose_foreground,
    foreground_mask,
    make_source,
    synthesise,
)

ROUNDS = 5


def load_images(data: Path | None, category: str | None, size: int) -> list[npt.NDArray[np.uint8]]:
    """Up to 64 normal images of a category, or made ones."""
    if data is None or category is None:
        return made_images(size)
    from realnet_edge.data import load_category

    paths = load_category(data, category).train
    return list(load_batch(paths[:: max(1, len(paths) // 64)][:64], (size, size)))


def made_images(size: int) -> list[npt.NDArray[np.uint8]]:
    """Sixteen images of a dark bar at different angles."""
    rng = np.random.default_rng(0)
    images = []
    for index in range(16):
        image = rng.integers(190, 211, size=(size, size, 3), dtype=np.uint8)
        box = cv2.boxPoints(((size / 2, size / 2), (size * 0.8, size * 0.15), index * 11.0))
        cv2.fillPoly(image, [np.rint(box).astype(np.int32)], (60, 60, 60))
        images.append(image)
    return images


def write_textures(folder: Path) -> None:
    """A few textures of noise, for when no folder of real ones is given."""
    rng = np.random.default_rng(0)
    for index in range(8):
        coarse = Image.fromarray(rng.integers(0, 256, size=(24, 24, 3), dtype=np.uint8))
        coarse.resize((300, 300)).save(folder / f"{index}.png")


def cost(
    source: AnomalySource,
    images: list[npt.NDArray[np.uint8]],
    foregrounds: list[npt.NDArray[np.bool_]],
    seconds: float,
    rng: np.random.Generator,
) -> tuple[float, int]:
    """Processor seconds a sample, and how many samples were made."""
    count, start = 0, time.process_time()
    while (spent := time.process_time() - start) < seconds:
        index = count % len(images)
        synthesise(images[index], foregrounds[index], source, rng)
        count += 1
    return spent / count, count


def measure(
    images: list[npt.NDArray[np.uint8]], rule: ForegroundRule, textures: Path, seconds: float
) -> list[dict[str, object]]:
    """One row a source, measured in turns."""
    foregrounds = [foreground_mask(image, rule) for image in images]
    shape = (images[0].shape[0], images[0].shape[1])
    spec = ",".join([*OWN_SOURCES, f"textures={textures}"])
    sources = make_source(spec, images, shape, rule).sources
    rng = np.random.default_rng(0)
    costs: dict[str, list[float]] = {source.name: [] for source in sources}
    counts = dict.fromkeys(costs, 0)
    for source in sources:  # warm: decode the textures, fill caches
        cost(source, images, foregrounds, 0.2, rng)
    for _ in range(ROUNDS):
        for source in sources:
            one, made = cost(source, images, foregrounds, seconds / ROUNDS, rng)
            costs[source.name].append(one)
            counts[source.name] += made
    share = float(np.mean([mask.mean() for mask in foregrounds]))
    return [
        {
            "source": name,
            "foreground": str(rule),
            "foreground_share": round(share, 3),
            "size": shape[0],
            "samples": counts[name],
            "ms_per_sample": round(1e3 * statistics.median(values), 3),
            "samples_per_second_per_core": round(1.0 / statistics.median(values), 1),
        }
        for name, values in costs.items()
    ]


def main() -> None:
    """Measure, print and append."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path)
    parser.add_argument("--category")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--seconds", type=float, default=3.0, help="processor time a source and foreground")
    parser.add_argument("--textures", type=Path, help="folder of real textures; made ones otherwise")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    images = load_images(options.data, options.category, options.size)
    name = options.category if options.data else "made bars"
    with tempfile.TemporaryDirectory() as made:
        write_textures(Path(made))
        textures = options.textures or Path(made)
        rows = []
        for rule in dict.fromkeys((choose_foreground(images)[0], ForegroundRule())):
            for row in measure(images, rule, textures, options.seconds):
                rows.append(
                    {"images": name, **row, **machine(numpy="numpy", opencv="opencv-python-headless")}
                )
                print(f"{row['source']:10} {rule!s:16} {row['ms_per_sample']:7} ms a sample")
    append_rows(RESULTS / "synthesis.csv", rows)


if __name__ == "__main__":
    main()
