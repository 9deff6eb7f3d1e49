from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import numpy.typing as npt
import pytest


@pytest.fixture(scope="session")
def plain(repository: Path) -> ModuleType:
    """The benchmark's baseline: the metrics as plain loops, written independently of the package."""
    path = repository / "benchmarks" / "metrics.py"
    spec = importlib.util.spec_from_file_location("metrics_benchmark", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def awkward_masks() -> npt.NDArray[np.bool_]:
    """Regions that touch diagonally, a ring, a leaky ring, a region in a ring, single pixels, a border."""
    masks = np.zeros((6, 24, 20), bool)
    masks[0, 2:5, 2:5] = masks[0, 5:8, 5:8] = True  # one region for 8-connectivity, two for 4
    masks[1, 4:14, 4:14] = True
    masks[1, 6:12, 6:12] = False  # a ring whose hole...
    masks[1, 8:10, 8:10] = True  # ...holds another region
    masks[2, 4:12, 4:12] = True
    masks[2, 6:10, 6:10] = False
    masks[2, 4, 4] = masks[2, 5, 5] = False  # the hole leaks out diagonally
    masks[3, 0, 0] = masks[3, 23, 19] = masks[3, 10, 0] = True
    masks[4, :, 0:3] = masks[4, 20:, :] = True
    return masks  # the sixth image is good


@pytest.fixture
def masks() -> npt.NDArray[np.bool_]:
    return awkward_masks()
