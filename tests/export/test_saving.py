"""Graphs rewritten from files whose weights lie beside them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest

from realnet_edge.export.cast_fp16 import cast_fp16
from realnet_edge.export.graph import OUTPUTS
from realnet_edge.export.parity import open_session, run_session
from realnet_edge.export.rrs_function import gather_rrs


@pytest.mark.parametrize("rewrite", [cast_fp16, gather_rrs])
def test_weights_beside_a_graph_come_along_into_one_file(
    rewrite: Callable[[Path, Path], object],
    small_engines: dict[tuple[str, str], Any],
    small_images: npt.NDArray[np.uint8],
    tmp_path: Path,
) -> None:
    """Those that are rewritten as well as those that stay, such as the statistics of RRS."""
    plain = small_engines["score", "fp32"].plain
    source, target = tmp_path / "beside" / "model.onnx", tmp_path / "made" / "model.onnx"
    source.parent.mkdir()
    beside = {"save_as_external_data": True, "location": "model.onnx.data", "size_threshold": 64}
    onnx.save_model(onnx.load(plain), source, **beside)
    rewrite(source, target)
    shutil.rmtree(source.parent)
    assert [file.name for file in target.parent.iterdir()] == ["model.onnx"]
    rewrite(plain, tmp_path / "same" / "model.onnx")
    found, same = (
        run_session(open_session(path), small_images, OUTPUTS)
        for path in (target, tmp_path / "same" / "model.onnx")
    )
    for one, other in zip(found, same, strict=True):
        np.testing.assert_array_equal(one, other)
