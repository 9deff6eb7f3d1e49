"""BatchNorm statistics of a model to be judged, averaged over many batches instead of the last few.

RRS normalises with momentum 0.9, so its running statistics are nearly those of the last training
batch alone, and with small batches they decide by chance which residual planes are chosen. Wu and
Johnson, "Rethinking 'Batch' in BatchNorm" (2021), call the remedy precise BatchNorm.
"""

from __future__ import annotations

import torch
from torch import nn

from realnet_edge.model import RealNet
from realnet_edge.training.distributed import Group
from realnet_edge.training.samples import AnomalyDataset, batches

# Keeps these samples apart from those of training, which count from 0.
_FIRST = 1 << 41
_ALONE = Group()


@torch.no_grad()
def refresh_statistics(
    model: RealNet, dataset: AnomalyDataset, count: int, batch: int, group: Group = _ALONE
) -> None:
    """Replace the running statistics of RRS and the discriminator by averages over batches, in place.

    Args:
        model: left in evaluation mode; its weights and its backbone do not change.
        dataset: training samples, normal and anomalous as in training.
        count: batches to average over; 0 leaves everything as it is.
        batch: samples a batch.
        group: processes that each take their part of every batch.
    """
    if count == 0:
        return
    trained = [model.rrs, model.discriminator]
    norms = [m for part in trained for m in part.modules() if isinstance(m, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        # Without momentum PyTorch keeps the plain average over all batches.
        norm.momentum = None
    model.train()
    for part in batches(dataset, _FIRST, _FIRST + count * batch, batch, workers=0, group=group):
        model(model.inputs(part.images, part.image_levels))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    model.eval()
