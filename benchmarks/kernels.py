"""The fused ops against PyTorch's own operations: time, and bytes a second over the least that must move.

    python benchmarks/kernels.py [--size default half edge] [--batch 1 8 32] [--dtype float32] [--compile]

Stages: RRS as the network runs it, its choice and its gather alone, and AFS of all taps. Variants: the
network's plain path, the same through `torch.compile` (--compile; on a CPU that takes minutes), and the
fused ops. Nothing is timed before the fused ops have given the plain result. Variants run in turns; a row
holds the median of its rounds, and `times_plain` the median of the rounds' ratios. `least_mb` counts inputs
once and outputs once; `of_copy` is the achieved share of what copying a large tensor reaches on this device
in the same run. Rows are appended to benchmarks/results/kernels.csv.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from configs import CONFIGS
from rows import RESULTS, append_rows, machine
from timing import copy_rate, seconds_of
from torch import Tensor

from realnet_edge.config import ModelConfig
from realnet_edge.kernels.rrs import rrs_gather, rrs_select
from realnet_edge.kernels.rrs_cpu import located
from realnet_edge.kernels.rrs_reference import rrs_gather_reference, rrs_select_reference
from realnet_edge.model.afs import FeatureSelection
from realnet_edge.model.rrs import ResidualSelection

Work = Callable[[], Tensor | list[Tensor]]


@dataclass(frozen=True)
class Case:
    """One stage on given tensors.

    Attributes:
        stage: what is computed.
        variants: the ways to compute it, the plain one first.
        moved: bytes that have to be read and written.
    """

    stage: str
    variants: dict[str, Work]
    moved: int


def rrs_cases(config: ModelConfig, batch: int, options: argparse.Namespace) -> list[Case]:
    """RRS whole, its choice and its gather, on random residuals of a configuration."""
    selected, reconstructed = (
        [
            _drawn((batch, channels, config.image_size // stride, config.image_size // stride), options)
            for channels, stride in zip(config.block_planes, config.block_strides, strict=True)
        ]
        for _ in range(2)
    )
    planes = sum(config.block_planes)
    module = ResidualSelection(planes, config.rrs_max, config.rrs_mean, config.rrs_order)
    module = module.to(options.device).eval()
    # As training leaves them: planes that differ, so that normalisation matters.
    mean, variance = (getattr(module.norm, f"running_{name}") for name in ("mean", "var"))
    mean.copy_(2 * torch.rand(planes))
    variance.copy_(8 * torch.rand(planes) + 0.5)
    kept = (module.norm.eps, config.rrs_max, config.rrs_mean)
    indices = rrs_select(selected, reconstructed, mean, variance, *kept)
    out, _ = module(selected, reconstructed)
    inputs = _bytes([*selected, *reconstructed])
    picked = zip(selected, located(selected, indices), strict=True)
    read = sum(2 * len(places) * _bytes([block[0, 0]]) for block, (places, _) in picked)
    return [
        Case(
            "rrs",
            _variants(lambda: module(selected, reconstructed)[0], [module], options),
            inputs + _bytes([mean, variance, out]),
        ),
        Case(
            "rrs_select",
            {
                "plain": lambda: rrs_select_reference(selected, reconstructed, mean, variance, *kept),
                "fused": lambda: rrs_select(selected, reconstructed, mean, variance, *kept),
            },
            inputs + _bytes([mean, variance, indices]),
        ),
        Case(
            "rrs_gather",
            {
                "plain": lambda: rrs_gather_reference(selected, reconstructed, indices),
                "fused": lambda: rrs_gather(
                    selected, reconstructed, indices, channels_last=options.channels_last
                ),
            },
            # Of the inputs, the chosen planes alone.
            read + 4 * indices.numel() * selected[0].shape[2] * selected[0].shape[3],
        ),
    ]


def afs_case(config: ModelConfig, batch: int, options: argparse.Namespace) -> Case:
    """AFS of every tap, standardised, on random features."""
    taps, selections = [], []
    for channels, stride, kept in zip(config.tap_channels, config.strides, config.planes, strict=True):
        side = config.image_size // stride
        taps.append(_drawn((batch, channels, side, side), options))
        selection = FeatureSelection(channels, kept, standardise=True).to(options.device)
        selection.draw(torch.Generator().manual_seed(0))
        selections.append(selection)

    def run() -> list[Tensor]:
        return [selection(tap) for selection, tap in zip(selections, taps, strict=True)]

    values = sum(k * t[0, 0].numel() for k, t in zip(config.planes, taps, strict=True)) * batch
    size = taps[0].element_size()
    return Case("afs", _variants(run, selections, options), values * (size + 4))


def _variants(
    run: Work, modules: Sequence[FeatureSelection | ResidualSelection], options: argparse.Namespace
) -> dict[str, Work]:
    def switched(fused: bool, work: Work) -> Work:
        def call() -> Tensor | list[Tensor]:
            for module in modules:
                module.fused = fused
            return work()

        return call

    found = {"plain": switched(False, run), "fused": switched(True, run)}
    if options.compile:
        found["compiled"] = switched(False, torch.compile(run))
    return found


def _drawn(shape: tuple[int, ...], options: argparse.Namespace) -> Tensor:
    layout = torch.channels_last if options.channels_last else torch.contiguous_format
    drawn = torch.randn(shape, device=options.device)
    return drawn.to(getattr(torch, options.dtype)).contiguous(memory_format=layout)


def _bytes(tensors: Sequence[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def check(case: Case) -> None:
    """Stop before a wrong op is timed.

    Raises:
        SystemExit: a variant gives something else than the plain one.
    """
    expected = _flat(case.variants["plain"]())
    for name, work in case.variants.items():
        close = torch.allclose(_flat(work()), expected, rtol=1e-4, atol=1e-4)
        if not close:
            raise SystemExit(f"{case.stage}: {name} differs from plain, so nothing was timed")


def _flat(given: Tensor | list[Tensor]) -> Tensor:
    return torch.cat([part.double().flatten() for part in (given if isinstance(given, list) else [given])])


def measured(case: Case, rounds: int, device: torch.device) -> dict[str, list[float]]:
    """Seconds of every variant, in turns.

    Each is called once before it is timed: the first call after another variant's pays for the memory that
    the other one left to be tidied up, and finds the caches full of it.
    """
    times: dict[str, list[float]] = {name: [] for name in case.variants}
    for _ in range(rounds):
        for name, work in case.variants.items():
            work()
            times[name].append(seconds_of(work, device))
    return times


def main() -> None:
    """Measure, print and append."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", nargs="+", choices=list(CONFIGS), default=list(CONFIGS))
    parser.add_argument("--batch", nargs="+", type=int, default=[1, 8, 32])
    parser.add_argument("--dtype", choices=["float32", "float16"], default="float32")
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    device = options.device = torch.device(options.device)
    rows: list[dict[str, object]] = []
    copied = copy_rate(device)
    with torch.no_grad():
        for size in options.size:
            for batch in options.batch:
                config = CONFIGS[size]
                for case in [*rrs_cases(config, batch, options), afs_case(config, batch, options)]:
                    check(case)
                    times = measured(case, options.rounds, device)
                    rows += [row(case, name, times, copied, size, batch, options) for name in times]
    append_rows(RESULTS / "kernels.csv", rows)


def row(
    case: Case,
    name: str,
    times: dict[str, list[float]],
    copied: float,
    size: str,
    batch: int,
    options: argparse.Namespace,
) -> dict[str, object]:
    """One result row, printed."""
    median = statistics.median(times[name])
    ratio = statistics.median(p / o for p, o in zip(times["plain"], times[name], strict=True))
    print(
        f"{size:8} batch {batch:3} {case.stage:11} {name:9} {1e3 * median:9.3f} ms  {ratio:6.2f} times plain"
    )
    found: dict[str, object] = {
        "size": size,
        "batch": batch,
        "dtype": options.dtype,
        "layout": "channels_last" if options.channels_last else "contiguous",
        "stage": case.stage,
        "variant": name,
        "threads": torch.get_num_threads() if options.device.type == "cpu" else "",
        "rounds": options.rounds,
        "ms": round(1e3 * median, 4),
        "times_plain": round(ratio, 2),
        "least_mb": round(case.moved / 1e6, 3),
        "gb_per_second": round(case.moved / median / 1e9, 2),
        "of_copy": round(case.moved / median / copied, 3),
        **machine(torch="torch"),
    }
    if options.device.type == "cuda":
        found["device"] = torch.cuda.get_device_name(options.device)
    return found


if __name__ == "__main__":
    main()
