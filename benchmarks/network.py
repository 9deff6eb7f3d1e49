"""The whole network in PyTorch: eager FP32 against fused ops, half precision, channels last and a CUDA graph.

    python benchmarks/network.py [--size default half edge] [--batch 1 8] [--compile]

On a GPU the variants are eager FP32 (TF32 off), the same with the fused ops, and FP16 with channels last,
with and without the ops, each also as a CUDA graph; on a CPU eager FP32 with and without the ops. --compile
adds the plain path through `torch.compile`, on a GPU with CUDA graphs. Weights
are random: they decide nothing about speed. Every variant's logits are compared with eager FP32's first.
The paper reports 31.93 images a second for the default network on an RTX 3090. Rows are appended to
benchmarks/results/network.csv.
"""

from __future__ import annotations

import argparse
import copy
import statistics
from collections.abc import Callable

import torch
from configs import CONFIGS
from rows import RESULTS, append_rows, machine
from timing import seconds_of
from torch import Tensor

from realnet_edge.model import RealNet

# Relative to the largest logit; half precision rounds at 5e-4, and RRS may exchange planes of equal rank.
TOLERANCE = {"fp32": 1e-3, "fp16": 5e-2}
Work = Callable[[], Tensor]


def variants(model: RealNet, images: Tensor, compile_too: bool = False) -> dict[str, Work]:
    """The ways to run the model, eager FP32 first."""
    found = {"eager fp32": _forward(model, images, False), "kernels fp32": _forward(model, images, True)}
    compiled = {"compiled fp32": _compiled(model, images)} if compile_too else {}
    if images.device.type != "cuda":
        return found | compiled
    half = copy.deepcopy(model).half().to(memory_format=torch.channels_last)
    # BatchNorm's statistics decide RRS's choice: they stay as they are.
    half.rrs.float()
    laid = images.half().contiguous(memory_format=torch.channels_last)
    found["eager fp16 channels-last"] = _forward(half, laid, False)
    found["kernels fp16 channels-last"] = _forward(half, laid, True)
    if compile_too:
        compiled["compiled fp16 channels-last"] = _compiled(half, laid)
    return {**found, **{f"{name}, graph": _graph(work) for name, work in found.items()}, **compiled}


def _forward(model: RealNet, images: Tensor, kernels: bool) -> Work:
    def run() -> Tensor:
        model.use_kernels(kernels)
        return model(images).logits

    return run


def _compiled(model: RealNet, images: Tensor) -> Work:
    # A copy: switching the other variants' ops would have it compiled again.
    own = copy.deepcopy(model)
    own.use_kernels(False)
    module = torch.compile(own, mode="reduce-overhead" if images.device.type == "cuda" else None)
    return lambda: module(images).logits


def _graph(work: Work) -> Work:
    """The same launches, recorded once and replayed."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            work()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out = work()

    def replay() -> Tensor:
        graph.replay()
        return out

    return replay


def main() -> None:
    """Measure, print and append."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", nargs="+", choices=list(CONFIGS), default=["default"])
    parser.add_argument("--batch", nargs="+", type=int, default=[1, 8])
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    device = torch.device(options.device)
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True
    torch.manual_seed(0)
    rows: list[dict[str, object]] = []
    with torch.inference_mode():
        for size in options.size:
            model = RealNet(CONFIGS[size]).to(device).eval()
            side = CONFIGS[size].image_size
            for batch in options.batch:
                images = torch.randn(batch, 3, side, side, device=device)
                rows += measured(
                    size, variants(model, images, options.compile), batch, options.rounds, device
                )
    append_rows(RESULTS / "network.csv", rows)


def measured(
    size: str, works: dict[str, Work], batch: int, rounds: int, device: torch.device
) -> list[dict[str, object]]:
    """One row a variant, measured in turns.

    Raises:
        SystemExit: a variant's logits are not those of eager FP32.
    """
    expected = works["eager fp32"]().float().clone()
    for name, work in works.items():
        difference = float((work().float() - expected).abs().max() / expected.abs().max())
        if difference > TOLERANCE["fp16" if "fp16" in name else "fp32"]:
            raise SystemExit(
                f"{size}, batch {batch}, {name}: logits differ by {difference:.2g} of the largest"
            )
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            times[name].append(seconds_of(work, device))
    found = []
    for name, seconds in times.items():
        median = statistics.median(seconds)
        ratio = statistics.median(e / s for e, s in zip(times["eager fp32"], seconds, strict=True))
        print(f"{size:8} batch {batch:3} {name:34} {batch / median:8.2f} images/s {ratio:6.2f} times eager")
        row: dict[str, object] = {
            "size": size,
            "batch": batch,
            "variant": name,
            "threads": torch.get_num_threads() if device.type == "cpu" else "",
            "rounds": rounds,
            "ms": round(1e3 * median, 3),
            "images_per_second": round(batch / median, 2),
            "times_eager": round(ratio, 2),
            **machine(torch="torch"),
        }
        found.append({**row, "device": torch.cuda.get_device_name(device)} if device.type == "cuda" else row)
    return found


if __name__ == "__main__":
    main()
