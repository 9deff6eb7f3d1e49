"""Training images a second against a plain eager loop, on the same batches in the same run.

    python benchmarks/training.py --data DIR --category NAME [--preset edge] [--rounds 5] [--threads N]

The plain loop is what one would write first: FP32, planes as they come, the backbone over the normal and
over the shown image of every sample, PyTorch's Adam as it is. Against it stand the training step of this
package in FP32, with the normal images' features known beforehand (where no augmentation changes them), in 16
bit where the device computes in it, and with its U-Nets compiled (--compile, which takes minutes). Before
anything is timed, the first losses of plain loop and step have to agree. Each variant has a process of its
own, for how freed memory is kept belongs to a process, and the plain loop is to have the system's way.
Variants run in turns, and a row holds the median of its rounds; batches are drawn beforehand, for workers
make them while a step computes.
Rows are appended to benchmarks/results/training-speed.csv.
"""

from __future__ import annotations

import argparse
import dataclasses
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from rows import RESULTS, append_rows, machine

from realnet_edge.config import SynthesisConfig, TrainConfig
from realnet_edge.data import load_category
from realnet_edge.model import losses
from realnet_edge.presets import preset
from realnet_edge.training.compute import choose_compute
from realnet_edge.training.distributed import Group
from realnet_edge.training.features import normal_features
from realnet_edge.training.memory import keep_freed_memory
from realnet_edge.training.preparation import Prepared, fit_features, prepare
from realnet_edge.training.samples import Batch, batches
from realnet_edge.training.step import Step

BATCHES = 3
# BatchNorm and the order of additions differ a little between one pass over all images and two.
TOLERANCE = 1e-3


Stepper = Callable[[Batch], float]
Maker = tuple[Callable[[Prepared, TrainConfig], Stepper], TrainConfig]


def plain_step(prepared: Prepared, config: TrainConfig) -> Stepper:
    """The plain loop's step; gives the sum of its losses."""
    model = prepared.model.train()
    optimiser = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=config.learning_rate)
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


def our_step(prepared: Prepared, config: TrainConfig) -> Stepper:
    """The package's step, as `train` runs it."""
    compute = choose_compute(config)
    if compute.device.type == "cpu":
        keep_freed_memory()
    model = prepared.model.train()
    step = Step(model, config, compute, Group())
    step.use_features(normal_features(model, prepared.training, config.feature_cache, config.batch, compute))
    return lambda batch: float(step(batch, config.learning_rate).sum())


def variants(synthesis: SynthesisConfig, config: TrainConfig, compiled: bool) -> dict[str, Maker]:
    """What is measured, the plain loop first."""
    fp32 = dataclasses.replace(config, precision="fp32")
    made = {"plain eager fp32": (plain_step, fp32)}
    made["step fp32"] = (our_step, dataclasses.replace(fp32, feature_cache=0))
    if not synthesis.varies_normals:
        made["step fp32, cached features"] = (our_step, fp32)
    best = choose_compute(dataclasses.replace(config, precision="auto")).arithmetic
    if best != "fp32":
        made[f"step {best}"] = (our_step, dataclasses.replace(config, precision=best))
    if compiled:
        changed = dataclasses.replace(config, precision=best, compile=True)
        made[f"step {best}, compiled"] = (our_step, changed)
    return made


def serve(connection: Connection, saved: Path, maker: Maker, threads: int) -> None:
    """In a variant's process: for each number of a batch, the step's loss and seconds."""
    if threads:
        torch.set_num_threads(threads)
    make, config = maker
    device = choose_compute(config).device
    # Our own file of a moment ago.
    prepared, drawn = torch.load(saved, map_location=device, weights_only=False)
    step = make(prepared, config)
    while (number := connection.recv()) is not None:
        batch = drawn[number]
        start = time.perf_counter()
        # Reading the loss waits for the device.
        loss = step(batch)
        connection.send((loss, time.perf_counter() - start))


class Subject:
    """A variant in a process of its own."""

    def __init__(self, saved: Path, maker: Maker, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, other = context.Pipe()
        self._process = context.Process(target=serve, args=(other, saved, maker, threads), daemon=True)
        self._process.start()
        other.close()

    def step(self, number: int) -> tuple[float, float]:
        """Loss and seconds of a step on that batch."""
        self._connection.send(number)
        loss, seconds = self._connection.recv()
        return loss, seconds

    def end(self) -> None:
        """End the process."""
        self._connection.send(None)
        self._process.join()


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
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "prepared.pt"
        torch.save((prepared, drawn), saved)
        makers = variants(synthesis, config, options.compile)
        subjects = {name: Subject(saved, maker, options.threads) for name, maker in makers.items()}
        first = {name: subject.step(0)[0] for name, subject in subjects.items()}
    reference = first["plain eager fp32"]
    if abs(first["step fp32"] - reference) > TOLERANCE * reference:
        raise SystemExit(f"losses differ, so nothing was timed: {first}")
    times: dict[str, list[float]] = {name: [] for name in subjects}
    for number in range(options.rounds):
        for name, subject in subjects.items():
            times[name].append(subject.step(number % BATCHES)[1])
    for subject in subjects.values():
        subject.end()
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
