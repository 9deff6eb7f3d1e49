"""Where a training computes, in what arithmetic, and what to say when memory runs out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import torch

from realnet_edge.errors import ConfigError, RealnetEdgeError

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class OutOfMemoryError(RealnetEdgeError):
    """Training needs more memory than the device has."""


class ComputeSettings(Protocol):
    """What settings of a training say about where and how it computes."""

    @property
    def device(self) -> str: ...
    @property
    def precision(self) -> str: ...


class MemorySettings(ComputeSettings, Protocol):
    """What settings of a training decide how much memory it needs."""

    @property
    def batch(self) -> int: ...
    @property
    def accumulate(self) -> int: ...
    @property
    def gradient_checkpointing(self) -> bool: ...


@dataclass(frozen=True)
class Compute:
    """Device and arithmetic of the training steps.

    Attributes:
        device: what holds the model.
        arithmetic: "fp32", or "bf16" or "fp16" for mixed precision by autocast.
    """

    device: torch.device
    arithmetic: str

    @property
    def unet_format(self) -> torch.memory_format:
        """How U-Nets want their planes: channels last on tensor cores, not on a CPU (GroupNorm is slow)."""
        return torch.channels_last if self.device.type == "cuda" else torch.contiguous_format

    def autocast(self) -> torch.autocast:
        """The context of a forward pass; it does nothing in fp32."""
        dtype = _DTYPES.get(self.arithmetic)
        return torch.autocast(self.device.type, dtype or torch.bfloat16, enabled=dtype is not None)

    def scaler(self) -> torch.amp.GradScaler:
        """Keeps fp16's small gradients from vanishing; passes everything through in other arithmetic."""
        return torch.amp.GradScaler(self.device.type, enabled=self.arithmetic == "fp16")


def choose_compute(config: ComputeSettings, local_rank: int = 0) -> Compute:
    """Device and arithmetic that the settings ask for, or the best ones of this machine.

    Args:
        config: its `device` and `precision`; "auto" takes a CUDA GPU where there is one, and there bf16 or
            fp16; a CPU takes bf16 where it computes in it, for PyTorch emulates it slowly elsewhere.
        local_rank: which of this machine's GPUs a process takes.

    Raises:
        ConfigError: CUDA is asked for and PyTorch finds none, or fewer GPUs than processes.
    """
    name = config.device
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cpu":
        return Compute(
            torch.device("cpu"), _resolved(config.precision, "bf16" if _cpu_has_bf16() else "fp32")
        )
    found = torch.cuda.device_count()
    if local_rank >= found:
        raise ConfigError(
            f"device is cuda, and PyTorch {torch.__version__} finds {found} GPUs for process "
            f"{local_rank + 1} of this machine. Start no more processes than GPUs, or give --device cpu."
        )
    best = "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    return Compute(torch.device("cuda", local_rank), _resolved(config.precision, best))


@contextmanager
def explained_memory(
    config: MemorySettings, smaller: str = "narrower --planes and --widths, or a smaller --image-size"
) -> Iterator[None]:
    """Turn an allocator's failure into an error that names the settings which need less.

    Args:
        config: the settings in use.
        smaller: the options that make the network itself smaller.

    Raises:
        OutOfMemoryError: memory ran out inside.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not _is_memory(error):
            raise
        raise OutOfMemoryError(
            f"training ran out of memory ({_first_line(error)}). {_advice(config, smaller)}"
        ) from error


def _advice(config: MemorySettings, smaller: str) -> str:
    """Settings that need less memory and are not in use yet, the harmless ones first."""
    ways = []
    if not config.gradient_checkpointing:
        ways.append("--gradient-checkpointing (about a third slower, same result)")
    if config.precision == "fp32":
        ways.append("--precision bf16")
    ways.append(f"--accumulate {2 * config.accumulate} (the batch in more parts)")
    ways += [f"a smaller --batch (now {config.batch})", smaller]
    return "What needs less: " + "; ".join(ways) + "."


def _is_memory(error: BaseException) -> bool:
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    # The CPU's allocator has no error of its own.
    text = str(error)
    return "DefaultCPUAllocator" in text or "can't allocate memory" in text


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].strip().rstrip(".")


def _resolved(precision: str, best: str) -> str:
    return best if precision == "auto" else precision


def _cpu_has_bf16() -> bool:
    return any(
        getattr(torch.cpu, name, lambda: False)()
        for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    )
