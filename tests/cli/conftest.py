from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from realnet_edge.bundle import Bundle
from realnet_edge.cli.main import cli


@pytest.fixture(scope="module")
def bundle(toy_bundle: Callable[..., Bundle], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a toy bundle that a whole file shares."""
    return toy_bundle(tmp_path_factory.mktemp("bundle") / "b").path


@pytest.fixture
def run(bundle: Path) -> Callable[..., Result]:
    """The command `run` with it, called with further options."""

    def call(*arguments: object) -> Result:
        return CliRunner().invoke(cli, ["run", "--bundle", str(bundle), *map(str, arguments)])

    return call
