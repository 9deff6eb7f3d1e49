"""What the tests of the network share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from fill import fill, fill_indices
from torch import Tensor

_TAP_CHANNELS = {"layer1": 64, "layer2": 128, "layer3": 256, "layer4": 512}


@pytest.fixture(scope="module", autouse=True)
def ops_for_small_networks() -> Iterator[None]:
    """Switched on, the ops are called, however few the values."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("realnet_edge.model.rrs.LEAST_ON_CPU", 0)
        yield


@pytest.fixture(scope="session")
def official_tensors() -> Callable[[dict[str, Any]], dict[str, Tensor]]:
    """`official_tensors(case)`: the official state_dict of a golden case, from its JSON document."""
    return _official_tensors


def _official_tensors(case: dict[str, Any]) -> dict[str, Tensor]:
    seed = case["case"]["seed"]
    state = {}
    for key, (shape, _) in case["state_dict"].items():
        if key.startswith("afs."):
            channels = _TAP_CHANNELS[key.rsplit("_", 1)[-1]]
            state[key] = torch.from_numpy(fill_indices(key, channels, shape[0], seed))
        else:
            state[key] = torch.from_numpy(np.asarray(fill(key, tuple(shape), seed)))
    return state
