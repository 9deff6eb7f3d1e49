"""The labelled images that every engine is measured on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from realnet_edge.data import TEST_FOLDERS, CategoryData, Sample, Splits, load_category, refuse_leaks
from realnet_edge.errors import CheckpointError, ConfigError, DataError
from realnet_edge.files import read_json
from realnet_edge.imaging import load_mask
from realnet_edge.workspace import CHECKPOINT_DOCUMENT


@dataclass(frozen=True, eq=False)
class TestSet:
    """Test images with their ground truth, in a fixed order.

    Attributes:
        samples: the images, at least one.
        with_masks: whether each defect has a mask.
    """

    # Tells pytest that this is no class of tests.
    __test__ = False

    samples: tuple[Sample, ...]
    with_masks: bool

    @property
    def paths(self) -> tuple[Path, ...]:
        return tuple(sample.path for sample in self.samples)

    @property
    def names(self) -> tuple[str, ...]:
        """Short names for people, such as "scratch_head/003.png"."""
        return tuple(f"{sample.kind}/{sample.path.name}" for sample in self.samples)

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """(N,) 0 good, 1 defect."""
        return np.array([sample.label for sample in self.samples], np.int64)

    @property
    def categories(self) -> tuple[str, ...]:
        """What each image shows."""
        return tuple(sample.category for sample in self.samples)

    def masks(self, size: tuple[int, int]) -> npt.NDArray[np.bool_] | None:
        """(N, H, W) ground truth at (height, width), all False for good images; None without masks."""
        if not self.with_masks:
            return None
        empty = np.zeros(size, np.bool_)
        return np.stack([load_mask(s.mask, size) if s.mask else empty for s in self.samples])

    def of_category(self, name: str) -> tuple[TestSet, npt.NDArray[np.bool_]]:
        """The images of one category alone, and (N,) which of these images they are."""
        own = np.array([sample.category == name for sample in self.samples])
        return TestSet(tuple(s for s in self.samples if s.category == name), self.with_masks), own

    def digest(self) -> str:
        """SHA-256 over the contents of the images, in their order."""
        digest = hashlib.sha256()
        for path in self.paths:
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        return digest.hexdigest()


def load_test_set(
    root: Path, category: str, images: int | None = None, splits: Splits | None = None
) -> TestSet:
    """The test images of a category, or an evenly spread part of them with the same share of defects.

    Args:
        root: folder that holds the category, or the category's own.
        category: its name.
        images: take at most that many, at least 2; None takes all.
        splits: what the model was made with, where that is known.

    Raises:
        ConfigError: `images` below 2.
        DataError: no such category, it has no test images, or the model was trained with some of them.
    """
    return gather_test_set(load_category(root, category), images, splits)


def gather_test_set(data: CategoryData, images: int | None = None, splits: Splits | None = None) -> TestSet:
    """`load_test_set` of a category that is listed already."""
    if images is not None and images < 2:
        raise ConfigError(f"{images} test images are too few: give at least 2, one good and one defect.")
    if not data.test:
        raise DataError(f"{data.root} has no test images: {_wanted(data)}")
    if splits is not None:
        refuse_leaks(splits, data)
    samples = data.test if images is None else _spread(data.test, images)
    return TestSet(samples, data.has_masks)


def recorded_root(checkpoint: Path) -> Path:
    """The folder of images that a checkpoint was trained on, as it recorded it; needs no torch.

    Raises:
        ConfigError: there is no such record, or the folder is gone.
    """
    record = checkpoint / CHECKPOINT_DOCUMENT
    try:
        root = Path(read_json(record)["data"]["root"])
    except (OSError, json.JSONDecodeError, KeyError, TypeError):
        raise ConfigError(
            f"{record} does not tell where the images are: give the folder that holds them with --data."
        ) from None
    if not root.is_dir():
        raise ConfigError(f"{root}, where the training images were, is gone: give their folder with --data.")
    return root


def recorded_splits(checkpoint: Path) -> Splits | None:
    """Which images a checkpoint was made with, as it recorded them; needs no torch.

    None where there is no checkpoint, as on a device that has the bundles alone.

    Raises:
        CheckpointError: its record cannot be read.
    """
    record = checkpoint / CHECKPOINT_DOCUMENT
    if not record.is_file():
        return None
    try:
        return Splits.from_dict(read_json(record)["splits"])
    except (OSError, ValueError, KeyError, TypeError, DataError) as error:
        raise CheckpointError(
            f"{record} does not tell which images the model was trained with ({error}), and it must not be "
            "tested on them. Restore the file or train again."
        ) from error


def _spread(samples: tuple[Sample, ...], count: int) -> tuple[Sample, ...]:
    """`count` samples, good ones and defects in proportion and at least one of each that exists."""
    if count >= len(samples):
        return samples
    good = [sample for sample in samples if sample.label == 0]
    defects = [sample for sample in samples if sample.label == 1]
    wanted = round(count * len(defects) / len(samples))
    n_defects = min(max(wanted, int(bool(defects))), count - int(bool(good)), len(defects))
    return (*_evenly(good, count - n_defects), *_evenly(defects, n_defects))


def _evenly(samples: Sequence[Sample], count: int) -> list[Sample]:
    return [samples[i * len(samples) // count] for i in range(count)]


def _wanted(data: CategoryData) -> str:
    return f"add {TEST_FOLDERS[data.layout]}."
