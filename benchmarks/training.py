"""Training images a second against a plain eager loop, on the same batches in the same run.

    python benchmarks/training.py --data DIR --category NAME [--preset edge] [--rounds 5] [--threads N]

The plain loop is what one would write first: FP32, planes as they come, the backbone over the normal and
over the shown image of every sample, PyTorch's Adam as it is. Against it stand the training step of this
package in FP32, with the normal images' features known beforehand (where no augmentation changes them), in 16
bit where the device computes in it, and with its U-Nets compiled (--compile, which takes minutes). Before
anything is timed, the first losses of plain loop and step have to agree. Variants run in turns, and a row
holds the median of its rounds; batches are drawn beforehand, for workers make them while a step computes.
Rows are appended to benchmarks/results/training-speed.csv.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from rows import RESULTS, append_rows, machine

from realnet_edge.config import TrainConfig
from realnet_edge.data import load_category
from realnet_edge.model import RealNet, losses
from realnet_edge.presets import preset
from realnet_edge.training.compute import choose_compute
from realnet_edge.training.distributed import Group
from realnet_edge.training.features import normal_features
from realnet_edge.training.preparation import Prepared, fit_features, prepare
from realnet_edge.training.samples import Batch, batches
from realnet_edge.training.step import Step

BATCHES = 3
# BatchNorm and the order of additions differ a little between one pass over all images and two.
TOLERANCE = 1e-3


def plain_step(model: RealNet, rate: float) -> Callable[[Batch], float]:
    """The plain loop's step; gives the sum of its losses."""
    optimiser = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=rate)
    device = model.inputs.scale.device

    def step(batch: Batch) -> float:
        normal = model.select(model.inputs(batch.normal, batch.level_parts[0]).contiguous())
        output = model(model.inputs(batch.images, batch.image_levels).contiguous())
        loss = torch.stack(losses(output, normal, batch.mask.to(device))).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        return float(loss.detach())

    return step


def our_step(prepared: Prepared, config: TrainConfig, cache: int) -> Callable[[Batch], float]:
    """The package's step on a copy of the model."""
    model = copy.deepcopy(prepared.model).train()
    compute = choose_compute(config)
    step = Step(model, config, compute, Group())
    step.use_features(normal_features(model, prepared.training, cache, config.batch, compute))
    return lambda batch: float(step(batch, config.learning_rate).sum())


def variants(prepared: Prepared, config: TrainConfig, compiled: bool) -> dict[str, Callable[[Batch], float]]:
    """What is measured, the plain loop first."""
    fp32 = dataclasses.replace(config, precision="fp32")
    found = {
        "plain eager fp32": plain_step(copy.deepcopy(prepared.model).train(), config.learning_rate),
        "step fp32": our_step(prepared, fp32, cache=0),
    }
    if not prepared.training.config.varies_normals:
        found["step fp32, cached features"] = our_step(prepared, fp32, config.feature_cache)
    best = choose_compute(dataclasses.replace(config, precision="auto")).arithmetic
    if best != "fp32":
        faster = dataclasses.replace(config, precision=best)
        found[f"step {best}"] = our_step(prepared, faster, config.feature_cache)
    if compiled:
        made = dataclasses.replace(config, precision=best, compile=True)
        found[f"step {best}, compiled"] = our_step(prepared, made, config.feature_cache)
    return found


def timed(step: Callable[[Batch], float], batch: Batch) -> float:
    """Seconds of one step; reading its loss waits for the device."""
    start = time.perf_counter()
    step(batch)
    return time.perf_counter() - start


def main() -> None:
    """Measure, print and append."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--category", required=True)
    parser.add_argument("--preset", default="edge")
    parser.add_argument("--batch", type=int, help="samples a step; the preset's otherwise")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=0, help="of PyTorch; 0 for all cores")
    parser.add_argument("--compile", action="store_true", help="measure compiled U-Nets, too")
    parser.add_argument("--plain-images", action="store_true", help="without augmentation of normal images")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    base = preset(options.preset)
    config = dataclasses.replace(
        base.train, batch=options.batch or base.train.batch, workers=0, afs_batches=1
    )
    synthesis = base.synthesis
    if options.plain_images:
        synthesis = dataclasses.replace(synthesis, rotate=0.0, flip=False, light=0.0, noise=0.0)
    category = load_category(options.data, options.category)
    device = choose_compute(config).device
    prepared = prepare(category, base.model, synthesis, config, None, device)
    fit_features(prepared, config)
    drawn = list(batches(prepared.training, 0, BATCHES * config.batch, config.batch, workers=0))
    steps = variants(prepared, config, options.compile)
    first = {name: step(drawn[0]) for name, step in steps.items()}
    reference = first["plain eager fp32"]
    if abs(first["step fp32"] - reference) > TOLERANCE * reference:
        raise SystemExit(f"losses differ, so nothing was timed: {first}")
    times: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(options.rounds):
        for name, step in steps.items():
            times[name].append(timed(step, drawn[number % BATCHES]))
    rows = []
    for name, seconds in times.items():
        ratios = [plain / own for plain, own in zip(times["plain eager fp32"], seconds, strict=True)]
        row: dict[str, object] = {
            "preset": options.preset,
            "augmented_normals": synthesis.varies_normals,
            "variant": name,
            "batch": config.batch,
            "threads": torch.get_num_threads(),
            "rounds": options.rounds,
            "ms_per_step": round(1e3 * statistics.median(seconds), 1),
            "images_per_second": round(config.batch / statistics.median(seconds), 2),
            "times_plain": round(statistics.median(ratios), 2),
            **machine(torch="torch"),
        }
        rows.append({**row, "device": torch.cuda.get_device_name(device)} if device.type == "cuda" else row)
        print(f"{name:32} {row['images_per_second']:>8} images/s  {row['times_plain']:>5} times plain")
    append_rows(RESULTS / "training-speed.csv", rows)


if __name__ == "__main__":
    main()
