"""Sizes of the Triton kernels' tiles, as launchers choose them and as they are compiled ahead of time."""

from __future__ import annotations

# Values of RRS's tiles: four a thread of four warps. With eight, and four neighbours each, some targets run
# out of registers.
TILE = 512
# Channels of RRS's tiles where they lie side by side: 128 bytes of float16.
SIDE_BY_SIDE = 64
# Of AFS's tiles in all, and along the axis that does not lie side by side in memory.
AFS_TILE = 1024
NARROW = 4
# Planes that one program of the ranking places, and how many it compares them with at once.
PLACED = 64
COMPARED = 64
# Programs that keep the largest GPU of today busy; with fewer planes their pixels are shared out.
_BUSY = 512
_MOST_PARTS = 16


def pool_parts(tiles: int, samples: int, steps: int) -> int:
    """Parts that RRS's pooling cuts the output pixels into, each pooled by a program of its own.

    Args:
        tiles: tiles of channels over all blocks.
        samples: in the batch.
        steps: tiles of pixels in a plane, the most parts that there can be.
    """
    return max(1, min(_BUSY // (tiles * samples), steps, _MOST_PARTS))
