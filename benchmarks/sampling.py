"""Images a second of diffusion sampling against a plain eager loop, over the same network in the same run.

    python benchmarks/sampling.py [--preset edge | --checkpoint DIR] [--images 32] [--rounds 3] [--no-compile]

The plain loop is what one would write first: FP32, eager, planes as they come, glibc's allocator as it is.
It is timed one image at a time and with the batch of the others; each variant has a process of its own, for
memory that is once kept stays kept. Before anything is timed its images have to agree with the sampler's.
Variants run in turns, and a row holds the median of its rounds. Rows are appended to
benchmarks/results/sampling-speed.csv.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from rows import RESULTS, append_rows, machine

from realnet_edge.config.diffusion import SamplerConfig
from realnet_edge.diffusion.checkpoint import DIFFUSION
from realnet_edge.diffusion.fast_sampling import Where, fast_sampler
from realnet_edge.diffusion.presets import DIFFUSION_PRESETS
from realnet_edge.diffusion.sampling import Request, Sampler
from realnet_edge.diffusion.unet import NoisePredictor
from realnet_edge.training.compute import choose_compute

# Mean difference in grey levels that 16-bit arithmetic may make.
TOLERANCE = 4.0
Images = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Variant:
    """One way to sample.

    Attributes:
        name: of the row.
        batch: images at a time.
        precision: as `TrainConfig` has it.
        compiled: whether the network is compiled.
        plain: the plain loop instead of the package's sampler.
    """

    name: str
    batch: int
    precision: str = "fp32"
    compiled: bool = False
    plain: bool = False


def network(options: argparse.Namespace) -> NoisePredictor:
    """The checkpoint's network, or the preset's with random weights: both take as long."""
    if options.checkpoint:
        return DIFFUSION.load(options.checkpoint).model
    torch.manual_seed(0)
    made = NoisePredictor(DIFFUSION_PRESETS[options.preset].model).eval()
    torch.nn.init.normal_(made.unet.conv_out.weight, std=0.02)
    return made


def serve(options: argparse.Namespace, variant: Variant, pipe: Connection) -> None:
    """In a process of its own: answer every request with its images and the seconds they took."""
    if options.threads:
        torch.set_num_threads(options.threads)
    model = network(options)
    sampler: Callable[[list[Request]], Images]
    if variant.plain:
        plain = Sampler(model, SamplerConfig(), choose_compute(Where(precision="fp32")))
        model.to(plain.compute.device)
        sampler = lambda requests: plain.all(requests, variant.batch)  # noqa: E731  # two forms of one thing
    else:
        fast = fast_sampler(
            model,
            SamplerConfig(),
            Where(precision=variant.precision),
            compiled=variant.compiled,
        )
        sampler = lambda requests: fast.all(requests, variant.batch)  # noqa: E731
    while (requests := pipe.recv()) is not None:
        started = time.perf_counter()
        images = sampler(requests)
        pipe.send((images, time.perf_counter() - started))


def refuse_other_images(variants: list[Variant], images: list[Images]) -> None:
    """End the program where a variant's images are not the first one's."""
    for variant, made in zip(variants, images, strict=True):
        difference = float(np.abs(made.astype(int) - images[0].astype(int)).mean())
        if difference > TOLERANCE:
            raise SystemExit(
                f"{variant.name}: images differ by {difference:.1f} levels, so nothing was timed."
            )


def variants_here(options: argparse.Namespace) -> list[Variant]:
    """What is measured on this machine, the plain loops first."""
    compute = choose_compute(Where())
    best = compute.arithmetic
    variants = [
        Variant("plain eager fp32, one at a time", 1, plain=True),
        Variant("plain eager fp32", options.batch, plain=True),
        Variant("sampler fp32", options.batch),
    ]
    if best != "fp32":
        variants.append(Variant(f"sampler {best}", options.batch, best))
    if not options.no_compile:
        variants.append(Variant(f"sampler {best}, compiled", options.batch, best, compiled=True))
    return variants


def main() -> None:
    """Measure, print and append."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", default="edge")
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--images", type=int, default=32)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=0, help="of PyTorch; 0 for all cores")
    parser.add_argument("--no-compile", action="store_true")
    options = parser.parse_args()
    variants = variants_here(options)
    requests = [Request(seed, 0.1) for seed in range(options.images)]
    context = multiprocessing.get_context("spawn")
    pipes = []
    for variant in variants:
        ours, theirs = context.Pipe()
        context.Process(target=serve, args=(options, variant, theirs), daemon=True).start()
        pipes.append(ours)

    def timed(pipe: Connection, wanted: list[Request]) -> tuple[Images, float]:
        pipe.send(wanted)
        answer: tuple[Images, float] = pipe.recv()
        return answer

    # The first call of each allocates, and compiles where that is wanted.
    refuse_other_images(variants, [timed(pipe, requests[: options.batch])[0] for pipe in pipes])
    seconds: list[list[float]] = [[] for _ in variants]
    for _ in range(options.rounds):
        for pipe, taken in zip(pipes, seconds, strict=True):
            taken.append(timed(pipe, requests)[1])
    for pipe in pipes:
        # Ends the process.
        pipe.send(None)
    rows = []
    for variant, taken in zip(variants, seconds, strict=True):
        row: dict[str, object] = {
            "network": "a checkpoint" if options.checkpoint else options.preset,
            "variant": variant.name,
            "batch": variant.batch,
            "threads": options.threads or torch.get_num_threads(),
            "images_per_second": round(options.images / statistics.median(taken), 4),
        }
        for name, baseline in (("one_at_a_time", 0), ("same_batch", 1)):
            ratio = statistics.median(b / t for b, t in zip(seconds[baseline], taken, strict=True))
            row[f"times_plain_{name}"] = round(ratio, 2)
        rows.append(row)
        print("  ".join(f"{value}" for value in row.values()))
    append_rows(RESULTS / "sampling-speed.csv", [{**row, **machine()} for row in rows])


if __name__ == "__main__":
    main()
