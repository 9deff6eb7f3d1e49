"""The images that a prepared bundle carries: losslessly, at the engine's size. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from realnet_edge.bundle import Bundle
from realnet_edge.errors import BundleError
from realnet_edge.runtime import Prediction

PARITY_NAME = "parity.npz"
HELD_OUT_NAME = "held-out.npz"
Images = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Carried:
    """What an engine is checked on, and what its threshold comes from.

    Attributes:
        parity: (P, H, W, 3) uint8 RGB.
        expected: FP32 PyTorch's answers on these, without `rrs_indices`.
        held_out: (N, H, W, 3) uint8 RGB good images that training never saw.
    """

    parity: Images
    expected: Prediction
    held_out: Images


def write_carried(folder: Path, carried: Carried) -> dict[str, Path]:
    """Write two files into an existing folder; gives name inside the bundle -> file."""
    files = {name: folder / name for name in (PARITY_NAME, HELD_OUT_NAME)}
    expected = carried.expected
    np.savez_compressed(
        files[PARITY_NAME],
        images=carried.parity,
        anomaly_map=expected.anomaly_map,
        score=expected.score,
    )
    np.savez_compressed(files[HELD_OUT_NAME], images=carried.held_out)
    return files


def read_carried(prepared: Bundle) -> Carried:
    """What a prepared bundle carries.

    Raises:
        BundleError: not a prepared bundle; or its files are not what this version of the package writes.
    """
    stated = prepared.manifest.preparation
    if stated is None:
        raise BundleError(f"{prepared.path}: has its engine already, so there is nothing to build from.")
    size = (prepared.manifest.input.height, prepared.manifest.input.width)
    parity = _arrays(prepared.file(stated.parity), ("images", "anomaly_map", "score"))
    held_out = _arrays(prepared.file(stated.held_out), ("images",))
    count = len(parity["images"])
    wanted = {
        "images": (np.uint8, (count, *size, 3)),
        "anomaly_map": (np.float32, (count, *size)),
        "score": (np.float32, (count,)),
    }
    good = all(
        parity[name].dtype == kind and parity[name].shape == shape for name, (kind, shape) in wanted.items()
    )
    images = held_out["images"]
    good = good and images.dtype == np.uint8 and images.ndim == 4 and images.shape[1:] == (*size, 3)
    if not good or not count or not len(images):
        raise BundleError(
            f"{prepared.path}: its images are not of the engine's size {size}, or none. Prepare it again."
        )
    return Carried(parity["images"], Prediction(parity["anomaly_map"], parity["score"]), images)


def _arrays(path: Path, names: tuple[str, ...]) -> dict[str, npt.NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in names}
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise BundleError(f"{path}: not readable ({error}). Prepare the bundle again.") from error
