from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from realnet_edge.bundle import Bundle
from realnet_edge.runtime import Runner, open_runner


@pytest.fixture(scope="module")
def bundle(toy_bundle: Callable[..., Bundle], tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A toy bundle that a whole file shares."""
    return toy_bundle(tmp_path_factory.mktemp("bundle") / "b")


@pytest.fixture
def runner(bundle: Bundle) -> Iterator[Runner]:
    """Its engine on one thread."""
    with open_runner(bundle, threads=1) as opened:
        yield opened
