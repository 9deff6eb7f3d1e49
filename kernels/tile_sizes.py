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
