"""RRS as an engine's custom op, whatever the runtime: sizes, formats, scratch memory, and the launches."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from realnet_edge.errors import KernelError
from realnet_edge.kernels.catalogue import EPS
from realnet_edge.kernels.kernel_set import KernelSet
from realnet_edge.kernels.rrs_plan import (
    INPUT,
    OUTPUT,
    Launch,
    Pointer,
    RrsLayout,
    RrsSizes,
    check_kernel,
    plan_rrs,
)

# Of the node in a graph and of the plugin that stands for it.
DOMAIN = "realnet_edge"
OP = "RRS"
VERSION = "1"
# Compiled code reads so much at once where it was told that an address allows it.
_WIDE = 16


@dataclass(frozen=True)
class RrsSettings:
    """Attributes of the node, by their names.

    Attributes:
        k_max, k_mean: planes chosen by their maximum and by their mean.
        all_planes: 1 where all planes are handed on in their own places, those not chosen zero; else 0.
        half: 1 where planes are handed on in float16, too large ones as its largest number; else 0.
        eps: added to the variance; the one that the kernels were compiled with.
    """

    k_max: int
    k_mean: int
    all_planes: int
    half: int
    eps: float

    def __post_init__(self) -> None:
        """Refuse what the kernels do not compute."""
        if abs(self.eps - EPS) > 1e-3 * EPS:
            raise KernelError(f"RRS normalises with eps {self.eps:g}; its kernels are compiled for {EPS:g}.")
        if min(self.k_max, self.k_mean) < 0 or self.k_max + self.k_mean == 0:
            raise KernelError(f"RRS keeps {self.k_max} and {self.k_mean} planes; valid: at least one in all.")

    @classmethod
    def from_fields(cls, fields: Mapping[str, float]) -> RrsSettings:
        """From attributes as numbers.

        Raises:
            KernelError: one is missing.
        """
        names = cls.__dataclass_fields__
        if missing := [name for name in names if name not in fields]:
            raise KernelError(f"the node {DOMAIN}.{OP} lacks {', '.join(missing)}: build the bundle again.")
        whole = {name: int(fields[name]) for name in names if name != "eps"}
        return cls(**whole, eps=float(fields["eps"]))

    def to_fields(self) -> dict[str, float]:
        return asdict(self)

    @property
    def written(self) -> str:
        return "f16" if self.half else "f32"

    def planes(self, channels: Sequence[int]) -> int:
        """Planes that are handed on, of blocks of so many channels."""
        return sum(channels) if self.all_planes else self.k_max + self.k_mean

    def layout(self, blocks: int, read: str, channels_last: bool) -> RrsLayout:
        return RrsLayout(blocks, read, self.written, channels_last, bool(self.all_planes))

    def kernels(self, blocks: int, read: str) -> tuple[str, ...]:
        """Names of the kernels for either memory layout, of which TensorRT chooses one."""
        both = [self.layout(blocks, read, channels_last).kernels for channels_last in (False, True)]
        return tuple(dict.fromkeys(name for names in both for name in names))


class Launcher(Protocol):
    """What speaks to the GPU."""

    def load(self, cubin: bytes, name: str) -> int:
        """Handle of a kernel; the same code is loaded once."""

    def launch(
        self,
        function: int,
        grid: tuple[int, int, int],
        threads: int,
        shared: int,
        arguments: Sequence[Any],
        stream: int,
    ) -> None:
        """Queue a kernel on a stream; `arguments` are ctypes values in the order of its parameters."""


class RrsCall:
    """Launches RRS for tensors of one layout and size, at whatever addresses they lie.

    Args:
        layout, sizes, settings: of the call.
        kernels: code for this GPU.
        launcher: what speaks to the GPU.

    Raises:
        KernelError: a kernel is missing, or takes other arguments than it would be given.
    """

    def __init__(self, layout: RrsLayout, sizes: RrsSizes, kernels: KernelSet, launcher: Launcher) -> None:
        self._launcher = launcher
        self._steps = []
        for launch in plan_rrs(layout, sizes).launches:
            kernel = kernels[launch.kernel]
            check_kernel(launch, kernel.about)
            self._steps.append((launch, kernel.about, launcher.load(kernel.cubin, launch.kernel)))

    def run(self, inputs: Sequence[int], outputs: Sequence[int], workspace: int, stream: int) -> None:
        """Queue all launches.

        Args:
            inputs, outputs: addresses, in the order that `plan_rrs` names.
            workspace: address of as many bytes as the plan wants.
            stream: handle.

        Raises:
            KernelError: an address that compiled code cannot read from.
        """
        places = {INPUT: inputs, OUTPUT: outputs}
        for launch, about, function in self._steps:
            arguments: list[Any] = []
            for argument, parameter in zip(launch.arguments, about.parameters, strict=True):
                if isinstance(argument, int):
                    arguments.append(ctypes.c_int32(argument))
                    continue
                known = places.get(argument.to)
                address = workspace + argument.place if known is None else known[argument.place]
                if parameter.name.partition("[")[0] in about.aligned and address % _WIDE:
                    raise KernelError(
                        f"{launch.kernel}: {parameter.name} lies at {address:#x}, its code reads {_WIDE} "
                        "bytes at once. Build with --rrs native, and please report it."
                    )
                arguments.append(ctypes.c_uint64(address))
            self._launcher.launch(
                function, launch.grid, about.threads_per_block, about.dynamic_shared, arguments, stream
            )


__all__ = ["DOMAIN", "OP", "VERSION", "Launch", "Launcher", "Pointer", "RrsCall", "RrsSettings"]
