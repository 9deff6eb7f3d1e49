"""Test images in batches, decoded one batch ahead of the engine that takes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from realnet_edge.data.category import CategoryData, Sample
from realnet_edge.errors import ConfigError
from realnet_edge.imaging import load_batch, load_mask

_Item = TypeVar("_Item")
_Loaded = TypeVar("_Loaded")


class LabelledBatch(NamedTuple):
    """Some test images with their ground truth.

    Attributes:
        images: (N, H, W, 3) uint8 RGB, preprocessed.
        labels: (N,) int64; 0 good, 1 defect.
        masks: (N, H, W) bool, all False for good images; None where the category lacks masks.
        samples: the files behind them.
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    masks: npt.NDArray[np.bool_] | None
    samples: tuple[Sample, ...]


def load_test_batches(
    category: CategoryData, size: tuple[int, int], batch_size: int
) -> Iterator[LabelledBatch]:
    """Yield a category's test images in their order, the next batch being decoded meanwhile.

    Args:
        category: what `load_category` gave.
        size: (height, width) of the engine's input.
        batch_size: images a batch; the last one may be smaller.

    Raises:
        ConfigError: `batch_size` below 1.
        DataError: an image or a mask cannot be decoded.
    """
    with_masks = category.has_masks

    def load(samples: Sequence[Sample]) -> LabelledBatch:
        images = load_batch((sample.path for sample in samples), size)
        labels = np.array([sample.label for sample in samples], np.int64)
        masks = np.stack([_mask(sample, size) for sample in samples]) if with_masks else None
        return LabelledBatch(images, labels, masks, tuple(samples))

    return _one_ahead(category.test, batch_size, load)


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
    return _one_ahead(paths, batch_size, lambda chunk: load_batch(chunk, size))


def _mask(sample: Sample, size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    return np.zeros(size, np.bool_) if sample.mask is None else load_mask(sample.mask, size)


def _one_ahead(
    items: Sequence[_Item], batch_size: int, load: Callable[[Sequence[_Item]], _Loaded]
) -> Iterator[_Loaded]:
    """Call `load` on each batch in a thread that stays exactly one batch ahead; its errors come through."""
    if batch_size < 1:
        raise ConfigError(f"batch_size {batch_size} is not valid: give 1 or more.")
    chunks = [items[start : start + batch_size] for start in range(0, len(items), batch_size)]
    return _prefetch(chunks, load)


def _prefetch(chunks: list[Sequence[_Item]], load: Callable[[Sequence[_Item]], _Loaded]) -> Iterator[_Loaded]:
    if not chunks:
        return
    with ThreadPoolExecutor(1, thread_name_prefix="decode") as pool:
        pending = pool.submit(load, chunks[0])
        for chunk in chunks[1:]:
            ready = pending.result()
            pending = pool.submit(load, chunk)
            yield ready
        yield pending.result()
