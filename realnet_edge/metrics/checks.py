"""What every metric demands of its input, checked once and in one place."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from realnet_edge.errors import DataError

Floats: TypeAlias = npt.NDArray[np.floating[Any]]
Bools: TypeAlias = npt.NDArray[np.bool_]


def finite(values: npt.ArrayLike, what: str) -> Floats:
    """`values` as an array of float32 or float64 without NaN or infinity.

    Half precision becomes float32, integers become float64; the values themselves stay as they are.

    Raises:
        DataError: a value is NaN or infinite; the message says how many are.
    """
    array = np.asarray(values)
    if array.dtype == np.float16:
        array = array.astype(np.float32)
    elif array.dtype not in (np.float32, np.float64):
        array = array.astype(np.float64)
    # min and max carry any NaN or infinity along, and cost no temporary of the maps' size.
    if array.size and not (np.isfinite(array.min()) and np.isfinite(array.max())):
        bad = int(array.size - np.count_nonzero(np.isfinite(array)))
        raise DataError(
            f"{what}: {bad} of {array.size} values are NaN or infinite, so nothing can be ranked. "
            "The engine that made them is broken: rebuild it, at a higher precision if it ran in 16 bits."
        )
    return array


def labels_and_scores(labels: npt.ArrayLike, scores: npt.ArrayLike) -> tuple[Bools, Floats]:
    """Image labels (N,) as bool (True = defect) and scores (N,) as floats, both classes present.

    Raises:
        DataError: shapes differ, a label is neither 0 nor 1, a score is not finite, or one class is missing.
    """
    flags = np.asarray(labels)
    values = finite(scores, "image scores")
    if flags.ndim != 1 or flags.shape != values.shape:
        raise DataError(f"labels {flags.shape} and scores {values.shape}: expected one of each per image.")
    if not np.isin(flags, (0, 1)).all():
        raise DataError(f"labels {sorted(set(flags.tolist()))}: only 0 (good) and 1 (defect) are valid.")
    defects = flags.astype(np.bool_)
    if defects.all() or not defects.any():
        missing = "good" if defects.all() else "defect"
        raise DataError(
            f"AUROC needs images of both classes, got {flags.size} images and none of them {missing}: "
            f"add {missing} images to the test set."
        )
    return defects, values


def masks_and_maps(masks: npt.ArrayLike, maps: npt.ArrayLike) -> tuple[Bools, Floats]:
    """Ground truth (N, H, W) as bool (True = anomalous pixel) and maps (N, H, W) as floats.

    Raises:
        DataError: shapes differ or are not (N, H, W), a map is not finite, or the masks mark no pixel
            or every pixel.
    """
    values = finite(maps, "anomaly maps")
    truth = np.asarray(masks)
    if values.ndim != 3 or truth.shape != values.shape:
        raise DataError(f"masks {truth.shape} and maps {values.shape}: both must be (N, H, W) and equal.")
    truth = truth if truth.dtype == np.bool_ else truth > 0
    marked = int(np.count_nonzero(truth))
    if marked == 0 or marked == truth.size:
        raise DataError(
            f"pixel metrics need normal and anomalous pixels, but {marked} of {truth.size} are anomalous: "
            "check the mask files, or leave pixel metrics out."
        )
    return truth, values
