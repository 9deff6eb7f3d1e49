"""Sizes of the Triton kernels' tiles, as launchers choose them and as they are compiled ahead of time."""

from __future__ import annotations

# Values of a tile: eight a thread of four warps.
TILE = 1024
# Channels of RRS's tiles where they lie side by side: 128 bytes of float16.
SIDE_BY_SIDE = 64
# Of AFS's tiles, along the axis that does not lie side by side in memory; the other one is filled first.
NARROW = 4
# Planes that one program of the ranking places, and how many it compares them with at once.
PLACED = 64
COMPARED = 64
