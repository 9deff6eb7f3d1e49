"""Making sampling fast: 16-bit arithmetic, memory format, compilation, and memory that is kept."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from realnet_edge.config.diffusion import SamplerConfig
from realnet_edge.diffusion.classifier import NoisedClassifier
from realnet_edge.diffusion.sampling import Sampler
from realnet_edge.diffusion.unet import NoisePredictor
from realnet_edge.training.compute import Compute, choose_compute
from realnet_edge.training.memory import keep_freed_memory


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
) -> Sampler:
    """A sampler that is as fast as this machine allows.

    Args:
        model: in evaluation mode; moved to the device.
        classifier: what guides, in evaluation mode; moved to the device.
        threads: of PyTorch; 0 for all cores.
        compiled: have `torch.compile` compile the network for one size of batch.

    Raises:
        ConfigError: no such device, or as `Sampler` has it.
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
    if compiled:
        model.compile(dynamic=False)
    return Sampler(model, config, compute, classifier, fills_up=compiled)


def default_batch(compute: Compute) -> int:
    """Images at a time where nothing is said: a GPU needs many to be busy, a processor's cores fewer."""
    return 64 if compute.device.type == "cuda" else 32
