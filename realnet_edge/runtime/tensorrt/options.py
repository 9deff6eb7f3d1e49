"""How an engine is built, whatever the release."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from realnet_edge.errors import ConfigError

BUILDER_LEVELS = range(6)
NO_DLA = (
    "DLA cannot run this network: it has no GroupNorm, TopK, Gather or attention (MatMul, Softmax), of which "
    "RealNet has dozens, so that images would travel to the GPU and back for each; it takes one fixed batch; "
    "and JetPack has no DLA in TensorRT after 10.7. Build for the GPU, at int8 where power counts."
)


@dataclass(frozen=True)
class EngineOptions:
    """Settings of TensorRT's builder.

    Attributes:
        batch: smallest, optimal and largest batch that the engine takes; kernels are chosen for the optimal.
        workspace_mb: most MiB of GPU memory for a layer's scratch; None leaves it to TensorRT, which takes
            what the GPU has.
        builder_level: 0 (quickest build) to 5 (quickest engine); None takes TensorRT's own, 3.
        tf32: let FP32 layers multiply with 10 bits of fraction. Off, so that fp32 means float32.
        hardware_compatible: the engine also runs on other GPUs from Ampere on, at some speed.
        version_compatible: the engine also runs on later TensorRTs of the same major version.
        dla: for the Deep Learning Accelerator of some Jetsons; refused, with the reason.
    """

    batch: tuple[int, int, int] = (1, 1, 32)
    workspace_mb: int | None = None
    builder_level: int | None = None
    tf32: bool = False
    hardware_compatible: bool = False
    version_compatible: bool = False
    dla: bool = False

    def __post_init__(self) -> None:
        """Refuse values before any work is done."""
        low, best, high = self.batch
        if not 1 <= low <= best <= high:
            raise ConfigError(
                f"batch {low}:{best}:{high}: give smallest, optimal and largest in this order, such as 1:1:8."
            )
        if self.workspace_mb is not None and self.workspace_mb < 1:
            raise ConfigError(f"workspace limit {self.workspace_mb}: give at least 1 MiB, or leave it out.")
        if self.builder_level not in (None, *BUILDER_LEVELS):
            raise ConfigError(f"builder level {self.builder_level!r}: give 0 to 5, or leave it out for 3.")
        if self.dla:
            raise ConfigError(NO_DLA)

    @property
    def portable(self) -> bool:
        """Whether the engine shall also run on other GPUs or releases."""
        return self.hardware_compatible or self.version_compatible

    def settings(self) -> dict[str, Any]:
        """What an engine depends on beside its batches, for its key."""
        document = dataclasses.asdict(self)
        return {name: value for name, value in document.items() if name not in ("batch", "dla")}
