"""One optimiser step: forward, losses, backward, in parts where a batch does not fit into memory at once."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from realnet_edge.config import TrainConfig
from realnet_edge.model import RealNet, losses
from realnet_edge.training.compute import Compute
from realnet_edge.training.distributed import Group
from realnet_edge.training.features import NormalFeatures
from realnet_edge.training.frozen import FrozenFeatures
from realnet_edge.training.samples import Batch


class BatchLosses(nn.Module):
    """Both losses of a batch; what data-parallel training wraps, as it watches one forward pass a step.

    Args:
        model: the network.
        compute: device and arithmetic.
        joint: as `TrainConfig.joint`.
    """

    def __init__(self, model: RealNet, compute: Compute, joint: bool = True) -> None:
        super().__init__()
        self.model = model
        self.compute = compute
        self.joint = joint
        self.cached: NormalFeatures | None = None
        self._features_of: FrozenFeatures | None = None

    def forward(self, batch: Batch) -> Tensor:
        """(2,) float32: reconstruction and segmentation loss (paper eq. 5 and 6)."""
        with self.compute.autocast():
            normal, anomalous = self._features(batch)
            selected = []
            for block, changed in zip(normal, anomalous, strict=True):
                # A sample without an anomaly is its own normal image: its features serve twice.
                mixed = block.clone(memory_format=self.compute.unet_format)
                mixed[batch.carries.to(block.device)] = changed
                selected.append(mixed)
            output = self.model.from_selected(selected, self.joint)
        return torch.stack(losses(output, normal, batch.mask.to(self.compute.device)))

    def _features(self, batch: Batch) -> tuple[list[Tensor], list[Tensor]]:
        """Selected features of all normal images, and of the anomalous ones."""
        inputs = self.model.inputs
        if self.cached is not None:
            changed = inputs(batch.anomalous, batch.level_parts[1])
            return self.cached.of(batch.positions), self.cached.features_of(changed)
        if self._features_of is None:
            # Not before the first batch: a resumed training loads its weights until then.
            self._features_of = FrozenFeatures(self.model)
        count = len(batch.normal)
        images = torch.cat([batch.normal, batch.anomalous])
        both = self._features_of(inputs(images, batch.levels))
        return [block[:count] for block in both], [block[count:] for block in both]


class Step:
    """Optimiser steps on a model.

    Args:
        model: the network, on the device.
        config: how many parts a batch is computed in, and whether parts of the network are compiled.
        group: the processes that share every batch.
    """

    def __init__(self, model: RealNet, config: TrainConfig, compute: Compute, group: Group) -> None:
        self.parts = config.accumulate
        self.group = group
        self.device = compute.device
        self.optimiser = torch.optim.Adam(
            [p for p in model.parameters() if p.requires_grad],
            lr=config.learning_rate,
            betas=(0.9, 0.999),
            fused=True,
        )
        self.scaler = compute.scaler()
        self._batch_losses = BatchLosses(model, compute, config.joint)
        self._losses: nn.Module = self._batch_losses
        if config.compile:
            # What has a fixed shape; in between, samples are picked by their flags.
            for part in (*model.reconstruction, model.discriminator):
                part.compile()
        if group.size > 1:
            devices = [compute.device] if compute.device.type == "cuda" else None
            self._losses = DistributedDataParallel(
                self._losses, device_ids=devices, broadcast_buffers=False, gradient_as_bucket_view=True
            )

    def __call__(self, batch: Batch, rate: float) -> Tensor:
        """One step at a learning rate.

        Returns:
            (2,) float64 on the CPU: the losses of the whole batch over all processes. Where one is not
            finite, the weights were left as they are.
        """
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.zero_grad(set_to_none=True)
        total = torch.zeros(2, dtype=torch.float64)
        parts = batch.split(self.parts)
        for number, part in enumerate(parts, start=1):
            with self._gathering(last=number == len(parts)):
                found = self._losses(part)
                total += found.detach().double().cpu() / len(parts)
                self.scaler.scale(found.sum() / len(parts)).backward()
        total = self.group.mean(total.to(self.device)).cpu()
        if torch.isfinite(total).all():
            self.scaler.step(self.optimiser)
            self.scaler.update()
        return total

    def use_features(self, cached: NormalFeatures | None) -> None:
        """Take the normal images' features from here on; None computes them in every step."""
        self._batch_losses.cached = cached

    def _gathering(self, last: bool) -> AbstractContextManager[None]:
        """Gradients travel between processes once a step, with its last part."""
        if isinstance(self._losses, DistributedDataParallel) and not last:
            return self._losses.no_sync()
        return nullcontext()
