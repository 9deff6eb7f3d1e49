"""Making sampling fast: 16-bit arithmetic, memory format, compilation, OpenVINO, and memory that is kept."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from realnet_edge.config.diffusion import SamplerConfig
from realnet_edge.diffusion.classifier import NoisedClassifier
from realnet_edge.diffusion.openvino_network import OpenVinoNetwork, has_openvino, takes
from realnet_edge.diffusion.sampling import Sampler
from realnet_edge.diffusion.unet import NoisePredictor
from realnet_edge.errors import ConfigError
from realnet_edge.training.compute import Compute, choose_compute
from realnet_edge.training.memory import keep_freed_memory

# By estimate: converting the network takes longer than OpenVINO saves on fewer images.
_WORTH_CONVERTING = 100


@dataclass(frozen=True)
class Where:
    """Device and arithmetic that were asked for, as `TrainConfig` has them."""

    device: str = "auto"
    precision: str = "auto"


def fast_sampler(
    model: NoisePredictor,
    config: SamplerConfig,
    where: Where,
    *,
    classifier: NoisedClassifier | None = None,
    threads: int = 0,
    compiled: bool = False,
    backend: str = "pytorch",
) -> Sampler:
    """A sampler that is as fast as this machine allows.

    Args:
        model: in evaluation mode; moved to the device.
        classifier: what guides, in evaluation mode; moved to the device.
        threads: of PyTorch; 0 for all cores.
        compiled: have `torch.compile` compile the network for one size of batch.
        backend: "pytorch", or "openvino" for the network; what guides stays in PyTorch.

    Raises:
        ConfigError: no such device, as `Sampler` or `OpenVinoNetwork` have it, or both ways to compile.
    """
    if threads:
        torch.set_num_threads(threads)
    compute = choose_compute(where)
    networks = [model] if classifier is None else [model, classifier]
    for network in networks:
        network.to(compute.device)
    if compute.device.type == "cpu":
        keep_freed_memory()
    else:
        for network in networks:
            network.to(memory_format=torch.channels_last)
    if backend == "openvino":
        if compiled:
            raise ConfigError("--compile is for PyTorch, and --backend is openvino: leave one of them out.")
        return Sampler(OpenVinoNetwork(model, compute), config, compute, classifier)
    if compiled:
        model.compile(dynamic=False)
    return Sampler(model, config, compute, classifier)


def choose_backend(wanted: str, where: Where, images: int, *, compiled: bool) -> str:
    """What computes the network: what was wanted, or what takes less time in all.

    Args:
        wanted: one of `SAMPLING_BACKENDS`.
        images: how many are to be made.
        compiled: whether `torch.compile` was asked for.

    Returns:
        "pytorch" or "openvino".
    """
    if wanted != "auto":
        return wanted
    pays = images >= _WORTH_CONVERTING and not compiled
    return "openvino" if pays and takes(choose_compute(where)) and has_openvino() else "pytorch"


def default_batch(compute: Compute) -> int:
    """Images at a time where nothing is said: a GPU needs many to be busy, a processor's caches few."""
    return 64 if compute.device.type == "cuda" else 16
