"""RRS as launches of compiled kernels: which ones, on what grid, with which arguments.

Needs neither torch nor Triton, and no GPU: what is launched is settled here, and whoever has the addresses
launches it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from realnet_edge.errors import KernelError
from realnet_edge.kernels.catalogue import ANY_BLOCKS, tile
from realnet_edge.kernels.compiled import CompiledKernel
from realnet_edge.kernels.spec import POINTER
from realnet_edge.kernels.tile_sizes import PLACED, pool_parts

Place = Literal["input", "output", "workspace"]
INPUT: Place = "input"
OUTPUT: Place = "output"
WORKSPACE: Place = "workspace"
# What a launch must not exceed in its second and third dimension.
_GRID_LIMIT = 65535
# Parts of the workspace begin at multiples of this.
_ALIGNMENT = 256
_FLOAT_BYTES = 4
_INDEX_BYTES = 8


@dataclass(frozen=True)
class RrsLayout:
    """How the tensors of one call lie in memory; it decides which kernels serve it.

    Attributes:
        blocks: how many there are.
        read: "f32" or "f16": of both sides of every block.
        written: "f32" or "f16": of the planes that are handed on.
        channels_last: whether channels lie side by side, in blocks and planes.
        all_planes: whether all planes are handed on in their own places, those not chosen zero.
    """

    blocks: int
    read: str
    written: str
    channels_last: bool
    all_planes: bool

    def __post_init__(self) -> None:
        """Refuse what no kernel is compiled for."""
        if self.blocks not in ANY_BLOCKS or (self.read, self.written) == ("f16", "f32"):
            raise KernelError(
                f"no kernel takes {self.blocks} blocks of {self.read} and gives {self.written}: valid "
                f"are {ANY_BLOCKS[0]} to {ANY_BLOCKS[-1]} blocks, and anything but reading f16 to write f32."
            )

    @property
    def memory(self) -> str:
        return "nhwc" if self.channels_last else "nchw"

    @property
    def pool(self) -> str:
        return f"rrs_pool_{self.read}_{self.memory}_b{self.blocks}"

    @property
    def gather(self) -> str:
        return f"rrs_gather_{self.read}_{self.written}_{self.memory}_b{self.blocks}"

    @property
    def kernels(self) -> tuple[str, ...]:
        """Names of all kernels that a call may launch."""
        return (self.pool, "rrs_rank_max", "rrs_rank_mean", *self._place, self.gather)

    @property
    def _place(self) -> tuple[str, ...]:
        return ("rrs_place",) if self.all_planes else ()


@dataclass(frozen=True)
class RrsSizes:
    """Sizes of one call.

    Attributes:
        samples: N.
        blocks: (channels, height, width) of each, finest first.
        k_max, k_mean: planes chosen by their maximum and by their mean.
    """

    samples: int
    blocks: tuple[tuple[int, int, int], ...]
    k_max: int
    k_mean: int

    @property
    def planes(self) -> int:
        """Planes of all blocks."""
        return sum(block[0] for block in self.blocks)

    @property
    def pixels(self) -> int:
        """Pixels of a plane at the finest resolution."""
        return self.blocks[0][1] * self.blocks[0][2]


@dataclass(frozen=True)
class Pointer:
    """An address that is known when the kernel is launched.

    Attributes:
        to: one of the call's inputs (both sides' blocks, then mean and variance), one of its outputs (planes,
            indices), or its workspace.
        place: number of the input or output, or bytes from the workspace's beginning.
    """

    to: Place
    place: int


@dataclass(frozen=True)
class Launch:
    """One kernel.

    Attributes:
        kernel: its name in the catalogue.
        grid: blocks of threads along each axis.
        arguments: in the order of the entry's parameters.
    """

    kernel: str
    grid: tuple[int, int, int]
    arguments: tuple[Pointer | int, ...]


@dataclass(frozen=True)
class RrsPlan:
    """One call of RRS: launches in order, each after the one before, and bytes of scratch memory."""

    launches: tuple[Launch, ...]
    workspace: int


def plan_rrs(layout: RrsLayout, sizes: RrsSizes) -> RrsPlan:
    """What to launch: pool the residuals, rank the planes in both modes, gather the chosen ones.

    Inputs are the selected blocks, the reconstructed ones, mean and variance; outputs the planes and their
    indices (int64). Everything that is read was written before by the same plan.

    Raises:
        KernelError: a batch or a number of planes that no grid takes.
    """
    channels, pixels = tile(layout.memory)
    tiles = sum(math.ceil(block[0] / channels) for block in sizes.blocks)
    parts = pool_parts(tiles, sizes.samples, math.ceil(sizes.pixels / pixels))
    pooled = sizes.samples * parts * sizes.planes * _FLOAT_BYTES
    total = _aligned(pooled)
    source = total + _aligned(pooled)
    launches = [
        _pool(layout, sizes, (tiles, parts), total),
        *_ranks(layout, sizes, parts, total),
        *([_place(sizes, source)] if layout.all_planes else []),
        _gather(layout, sizes, Pointer(WORKSPACE, source) if layout.all_planes else Pointer(OUTPUT, 1)),
    ]
    if any(side > _GRID_LIMIT for launch in launches for side in launch.grid[1:]):
        raise KernelError(f"{sizes.samples} samples of {sizes.planes} planes are more than one launch takes.")
    placed = _aligned(sizes.samples * sizes.planes * _INDEX_BYTES) if layout.all_planes else 0
    return RrsPlan(tuple(launches), source + placed)


def workspace_bytes(layout: RrsLayout, largest: RrsSizes) -> int:
    """Scratch memory that is enough for every batch up to the largest."""
    # Few samples are cut into more parts than many are.
    return max(
        plan_rrs(layout, RrsSizes(samples, largest.blocks, largest.k_max, largest.k_mean)).workspace
        for samples in range(1, largest.samples + 1)
    )


def check_kernel(launch: Launch, kernel: CompiledKernel) -> None:
    """Refuse a compiled kernel that takes other arguments than a launch gives.

    Raises:
        KernelError: another number of them, or an address where a number belongs.
    """
    wanted = [parameter.kind == POINTER for parameter in kernel.parameters]
    if wanted != [isinstance(argument, Pointer) for argument in launch.arguments]:
        shown = ", ".join(f"{parameter.name} {parameter.type}" for parameter in kernel.parameters)
        raise KernelError(
            f"{kernel.name} takes {shown}, which is not what this version launches it with. Compile it "
            f"with this version: python -m realnet_edge.kernels.compile --sm {kernel.sm} --out FOLDER"
        )


def _pool(layout: RrsLayout, sizes: RrsSizes, grid: tuple[int, int], total: int) -> Launch:
    return Launch(
        layout.pool,
        (*grid, sizes.samples),
        (
            *_residuals(sizes),
            Pointer(WORKSPACE, 0),
            Pointer(WORKSPACE, total),
            *sizes.blocks[0][1:],
            sizes.planes,
        ),
    )


def _ranks(layout: RrsLayout, sizes: RrsSizes, parts: int, total: int) -> list[Launch]:
    """The launches of the modes that choose anything."""
    mean = 2 * layout.blocks
    modes = (("rrs_rank_max", 0, 0, sizes.k_max), ("rrs_rank_mean", total, sizes.k_max, sizes.k_mean))
    return [
        Launch(
            kernel,
            (math.ceil(sizes.planes / PLACED), sizes.samples, 1),
            (
                Pointer(WORKSPACE, pooled),
                Pointer(INPUT, mean),
                Pointer(INPUT, mean + 1),
                Pointer(OUTPUT, 1),
                sizes.planes,
                parts,
                sizes.pixels,
                kept,
                first,
                sizes.k_max + sizes.k_mean,
            ),
        )
        for kernel, pooled, first, kept in modes
        if kept
    ]


def _place(sizes: RrsSizes, source: int) -> Launch:
    return Launch(
        "rrs_place",
        (math.ceil(sizes.planes / PLACED), sizes.samples, 1),
        (Pointer(OUTPUT, 1), Pointer(WORKSPACE, source), sizes.planes, sizes.k_max + sizes.k_mean),
    )


def _gather(layout: RrsLayout, sizes: RrsSizes, source: Pointer) -> Launch:
    places = sizes.planes if layout.all_planes else sizes.k_max + sizes.k_mean
    block_places, block_pixels = tile(layout.memory)
    return Launch(
        layout.gather,
        (math.ceil(sizes.pixels / block_pixels), math.ceil(places / block_places), sizes.samples),
        (*_residuals(sizes), source, Pointer(OUTPUT, 0), *sizes.blocks[0][1:], places),
    )


def _residuals(sizes: RrsSizes) -> tuple[Pointer | int, ...]:
    """What pooling and gathering begin with: both sides of every block, then channels, heights, widths."""
    sides: Sequence[Pointer] = [Pointer(INPUT, number) for number in range(2 * len(sizes.blocks))]
    return (*sides, *(length for axis in zip(*sizes.blocks, strict=True) for length in axis))


def _aligned(size: int) -> int:
    return math.ceil(size / _ALIGNMENT) * _ALIGNMENT
