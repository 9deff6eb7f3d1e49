"""What the tests of the network share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module", autouse=True)
def ops_for_small_networks() -> Iterator[None]:
    """Switched on, the ops are called, however few the values."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("realnet_edge.model.rrs.LEAST_ON_CPU", 0)
        yield
