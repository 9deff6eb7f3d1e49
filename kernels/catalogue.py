"""Which kernels are compiled ahead of time, and the specialisations of each under a stable name.

Names say what a kernel takes: `f32` and `f16` (what it reads and what it writes), `nchw` and `nhwc`, `b4` for
four blocks, `std` with standardisation. Sizes are parameters, so that one entry serves every network of that
many blocks. The catalogue holds what presets and the published network need; kernels of any other number of
blocks are found by their name. Squared residuals that are too large for float16 are written as its largest
number.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from realnet_edge.errors import ConfigError
from realnet_edge.kernels.spec import KernelSpec

# As the launchers choose them for planes that are large enough; smaller ones are masked.
from realnet_edge.kernels.tile_sizes import AFS_TILE, COMPARED, NARROW, PLACED, SIDE_BY_SIDE, TILE

# Blocks of the presets and of the published network.
BLOCKS = (3, 4)
# Of those that a name can ask for: every grouping of a backbone's five taps.
ANY_BLOCKS = range(1, 6)
# Of the BatchNorm that RRS normalises with. TensorRT passes whole numbers only, so it is compiled in.
EPS = 1e-5

_POINTERS = {"f32": "*fp32", "f16": "*fp16"}
_LAYOUTS = ("nchw", "nhwc")
# What comes in and what goes out.
_CASTS = (("f32", "f32"), ("f32", "f16"), ("f16", "f16"))


def tile(layout: str) -> tuple[int, int]:
    """Channels and pixels of a tile that is long along what lies side by side in memory."""
    return (SIDE_BY_SIDE, TILE // SIDE_BY_SIDE) if layout == "nhwc" else (1, TILE)


def _residuals(dtype: str, blocks: int) -> dict[str, tuple[str, ...]]:
    """The arguments that RRS's kernels begin with: both sides of every block, and the blocks' sizes."""
    sides = dict.fromkeys(("selected", "reconstructed"), (_POINTERS[dtype],) * blocks)
    return sides | dict.fromkeys(("channels", "heights", "widths"), ("i32",) * blocks)


def _rrs_pool(counts: Iterable[int]) -> Iterator[KernelSpec]:
    for dtype in _POINTERS:
        for layout in _LAYOUTS:
            for blocks in counts:
                channels, pixels = tile(layout)
                yield KernelSpec(
                    f"rrs_pool_{dtype}_{layout}_b{blocks}",
                    "realnet_edge.kernels.rrs_select_triton:rrs_pool_kernel",
                    {
                        **_residuals(dtype, blocks),
                        **dict.fromkeys(("maximum", "total"), "*fp32"),
                        **dict.fromkeys(("out_height", "out_width", "planes"), "i32"),
                    },
                    {
                        "CHANNELS_LAST": layout == "nhwc",
                        "BLOCK_CHANNELS": channels,
                        "BLOCK_PIXELS": pixels,
                    },
                    aligned=("selected", "reconstructed"),
                )


def _rrs_rank() -> Iterator[KernelSpec]:
    for mode in ("max", "mean"):
        yield KernelSpec(
            f"rrs_rank_{mode}",
            "realnet_edge.kernels.rrs_select_triton:rrs_rank_kernel",
            {
                **dict.fromkeys(("pooled", "mean", "variance"), "*fp32"),
                "indices": "*i64",
                **dict.fromkeys(("planes", "parts", "pixels", "kept", "first", "columns"), "i32"),
            },
            {"eps": EPS, "BY_MEAN": mode == "mean", "PLACED": PLACED, "COMPARED": COMPARED},
        )


def _rrs_place() -> Iterator[KernelSpec]:
    yield KernelSpec(
        "rrs_place",
        "realnet_edge.kernels.rrs_place_triton:rrs_place_kernel",
        {**dict.fromkeys(("indices", "source"), "*i64"), **dict.fromkeys(("planes", "columns"), "i32")},
        {"PLACED": PLACED, "COMPARED": COMPARED},
    )


def _rrs_gather(counts: Iterable[int]) -> Iterator[KernelSpec]:
    for read, written in _CASTS:
        for layout in _LAYOUTS:
            for blocks in counts:
                places, pixels = tile(layout)
                yield KernelSpec(
                    f"rrs_gather_{read}_{written}_{layout}_b{blocks}",
                    "realnet_edge.kernels.rrs_gather_triton:rrs_gather_kernel",
                    {
                        **_residuals(read, blocks),
                        "source": "*i64",
                        "out": _POINTERS[written],
                        **dict.fromkeys(("out_height", "out_width", "places"), "i32"),
                    },
                    {
                        "CHANNELS_LAST": layout == "nhwc",
                        "OUT_CHANNELS_LAST": layout == "nhwc",
                        "SATURATE": written == "f16",
                        "BLOCK_PLACES": places,
                        "BLOCK_PIXELS": pixels,
                    },
                    aligned=("selected", "reconstructed", "out"),
                )


def _afs_gather() -> Iterator[KernelSpec]:
    """Strides are parameters; the layout in the name is the one that the tile is made for."""
    strides = [f"{side}_{axis}" for side in ("in", "out") for axis in ("sample", "channel", "pixel")]
    for read, written in _CASTS:
        for layout in _LAYOUTS:
            wide, narrow = AFS_TILE // NARROW, NARROW
            channels, pixels = (wide, narrow) if layout == "nhwc" else (narrow, wide)
            for standardise in (False, True):
                affine = ("mean", "scale")
                yield KernelSpec(
                    f"afs_gather_{read}_{written}_{layout}{'_std' if standardise else ''}",
                    "realnet_edge.kernels.afs_triton:afs_gather_kernel",
                    {
                        "features": _POINTERS[read],
                        "index": "*i64",
                        **dict.fromkeys(affine if standardise else (), "*fp32"),
                        "out": _POINTERS[written],
                        **dict.fromkeys(("kept", "pixels", *strides), "i32"),
                    },
                    {
                        **dict.fromkeys(() if standardise else affine),
                        "BLOCK_CHANNELS": channels,
                        "BLOCK_PIXELS": pixels,
                    },
                    aligned=("features", "out"),
                    fp_fusion=False,
                )


def _kernels(counts: Sequence[int]) -> tuple[KernelSpec, ...]:
    """All kernels, RRS's for networks of these numbers of blocks."""
    return (*_afs_gather(), *_rrs_pool(counts), *_rrs_rank(), *_rrs_place(), *_rrs_gather(counts))


CATALOGUE: tuple[KernelSpec, ...] = _kernels(BLOCKS)
# Compiled where their name asks for them.
OTHERS: tuple[KernelSpec, ...] = tuple(spec for spec in _kernels(ANY_BLOCKS) if spec not in CATALOGUE)


def find_kernels(names: Sequence[str] = ()) -> tuple[KernelSpec, ...]:
    """The kernels of these names, the catalogue's first and each in its order; without names the catalogue.

    Raises:
        ConfigError: a name that no kernel has.
    """
    if not names:
        return CATALOGUE
    known = {spec.name: spec for spec in (*CATALOGUE, *OTHERS)}
    if unknown := [name for name in names if name not in known]:
        of_any = f" With b1 to b{ANY_BLOCKS[-1]} for other numbers of blocks." if OTHERS else ""
        raise ConfigError(
            f"there is no kernel {', '.join(unknown)}. Valid are: "
            f"{', '.join(spec.name for spec in CATALOGUE)}.{of_any}"
        )
    return tuple(spec for name, spec in known.items() if name in names)
