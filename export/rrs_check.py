"""Whether what was taken for RRS is RRS: its body computed on random residuals, against the reference."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import torch
from torch import Tensor

from realnet_edge.errors import ExportError
from realnet_edge.export.parity import open_session
from realnet_edge.export.rrs_region import RrsRegion
from realnet_edge.kernels.rrs_call import RrsSettings
from realnet_edge.kernels.rrs_reference import mask_planes, residual_planes, rrs_scores_reference, take_planes

_SAMPLES = 2
# Relative; of differences that are rounded to 11 bits and squared, and of other orders of sums.
_TOLERANCE = {ir.DataType.FLOAT: 1e-5, ir.DataType.FLOAT16: 4e-3}


def check_body(
    function: ir.Function,
    region: RrsRegion,
    settings: RrsSettings,
    statistics: tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]],
    ir_version: int,
) -> None:
    """Compare a function's body with the reference.

    Args:
        function: the body; its inputs as `gather_rrs` describes them.
        region: what it was made of.
        settings: what the node will state.
        statistics: mean and variance that it will be given.
        ir_version: of the file.

    Raises:
        ExportError: it computes something else.
    """
    dtype = region.selected[0].dtype or ir.DataType.FLOAT
    half = ir.DataType.FLOAT16 in (dtype, region.planes.dtype)
    tolerance = _TOLERANCE[ir.DataType.FLOAT16 if half else ir.DataType.FLOAT]
    random = torch.Generator().manual_seed(0)
    selected = [_random(value, random) for value in region.selected]
    reconstructed = [_random(value, random) for value in region.reconstructed]
    mean, variance = (torch.from_numpy(values) for values in statistics)
    found, indices = _run(function, [*selected, *reconstructed, mean, variance], ir_version)
    scores = rrs_scores_reference(selected, reconstructed, mean, variance, settings.eps)
    counts = (settings.k_max, settings.k_mean)
    chosen = indices.split(counts, dim=1)
    for name, score, columns, count in zip(("maximum", "mean"), scores, chosen, counts, strict=True):
        if count:
            best = score.topk(count, dim=1).values
            # Near-equal scores may swap: each place must hold one that is as good.
            _compare(f"the choice by {name}", score.gather(1, columns), best, tolerance)
    hand_on = mask_planes if settings.all_planes else take_planes
    planes = hand_on(residual_planes(selected, reconstructed), indices)
    _compare("the planes", found.float(), planes, tolerance)


def _random(value: ir.Value, random: torch.Generator) -> Tensor:
    shape = [length for length in value.shape or () if isinstance(length, int)]
    dtype = torch.float16 if value.dtype == ir.DataType.FLOAT16 else torch.float32
    return torch.randn(_SAMPLES, *shape, generator=random).to(dtype)


def _run(function: ir.Function, inputs: list[Tensor], ir_version: int) -> tuple[Tensor, Tensor]:
    graph = function.graph.clone()
    for value, tensor in zip(graph.inputs, inputs, strict=True):
        value.shape = ir.Shape(list(tensor.shape))
    model = ir.to_proto(ir.Model(graph, ir_version=ir_version))
    session = open_session(model.SerializeToString())
    names = [item.name for item in session.get_inputs()]
    found, indices = session.run(None, dict(zip(names, (t.numpy() for t in inputs), strict=True)))
    return torch.from_numpy(found), torch.from_numpy(indices)


def _compare(what: str, found: Tensor, expected: Tensor, tolerance: float) -> None:
    alike = found.shape == expected.shape
    off = float((found - expected).abs().max() / expected.abs().max()) if alike else np.inf
    # Not `>`: a NaN must fail too.
    if not off <= tolerance:
        raise ExportError(
            f"what was taken for RRS in the engine graph is something else: {what} differs by {off:.1e} of "
            f"the largest value, {tolerance:.0e} is allowed. Build with --rrs native, and please report it."
        )
