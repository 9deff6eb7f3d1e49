"""What the choice of a preset takes from an unfinished training and from PyTorch."""

from __future__ import annotations

from realnet_edge.config import TrainConfig
from realnet_edge.presets import DEFAULT_PRESET, PRESETS
from realnet_edge.workspace import CategoryPaths


def chosen_preset(named: str | None, paths: CategoryPaths, resume: bool) -> str:
    """The preset's name: the one that was named, the one that a training to go on with has, or the default.

    Args:
        named: what `--preset` says.
        paths: where an unfinished training may lie.
        resume: whether it is to go on, whatever would be taken on this machine.

    Raises:
        CheckpointError: its state cannot be read.
    """
    if named or not resume:
        return named or DEFAULT_PRESET
    from realnet_edge.training.state import read_settings

    saved = read_settings(paths.training)
    name = saved[1].get("preset", {}).get("name") if saved else None
    return name if name in PRESETS else DEFAULT_PRESET


def training_gpu(config: TrainConfig) -> tuple[str, float] | None:
    """Name and memory in GiB of the GPU that a training of these settings takes; None for a processor."""
    import torch

    if config.device == "cpu" or not torch.cuda.is_available():
        return None
    properties = torch.cuda.get_device_properties(0)
    return properties.name, properties.total_memory / 2**30
