"""Images in batches, decoded one batch ahead of the engine that takes them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt

from realnet_edge.errors import ConfigError
from realnet_edge.imaging import load_batch


def load_batches(
    paths: Sequence[Path], size: tuple[int, int], batch_size: int
) -> Iterator[npt.NDArray[np.uint8]]:
    """Yield images as (N, H, W, 3) uint8 RGB in the order of `paths`, the next batch being decoded meanwhile.

    Args:
        paths: image files.
        size: (height, width) of the engine's input.
        batch_size: images a batch; the last one may be smaller.

    Raises:
        ConfigError: `batch_size` below 1.
        DataError: an image cannot be decoded.
    """
    if batch_size < 1:
        raise ConfigError(f"batch_size {batch_size} is not valid: give 1 or more.")
    chunks = [paths[start : start + batch_size] for start in range(0, len(paths), batch_size)]
    return _one_ahead(chunks, size)


def _one_ahead(chunks: list[Sequence[Path]], size: tuple[int, int]) -> Iterator[npt.NDArray[np.uint8]]:
    """Decode in a thread that stays exactly one batch ahead; its errors come through at their batch."""
    if not chunks:
        return
    with ThreadPoolExecutor(1, thread_name_prefix="decode") as pool:
        pending = pool.submit(load_batch, chunks[0], size)
        for chunk in chunks[1:]:
            ready = pending.result()
            pending = pool.submit(load_batch, chunk, size)
            yield ready
        yield pending.result()
