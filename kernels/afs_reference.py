"""Feature selection (AFS, paper section 3.2) in plain PyTorch: what the fused versions have to equal."""

from __future__ import annotations

import torch
from torch import Tensor


def afs_gather_reference(
    features: Tensor,
    index: Tensor,
    mean: Tensor | None = None,
    scale: Tensor | None = None,
    *,
    channels_last: bool = False,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Pick channels, standardise them, lay them out and cast them, one step after the other.

    Arguments and result are those of `realnet_edge.kernels.afs.afs_gather`. Features in float64 are computed
    in float64.
    """
    selected = features.index_select(1, index)
    selected = selected.to(torch.promote_types(features.dtype, torch.float32))
    if mean is not None:
        selected = selected - mean.index_select(0, index)[:, None, None]
    if scale is not None:
        selected = selected * scale.index_select(0, index)[:, None, None]
    layout = torch.channels_last if channels_last else torch.contiguous_format
    return selected.to(dtype or features.dtype).contiguous(memory_format=layout)
