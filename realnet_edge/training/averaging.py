"""An exponential moving average of the trained weights, which is what is judged and kept.

Single steps of a training differ by the noise of their batches; an average over many differs less. Polyak and
Juditsky, "Acceleration of stochastic approximation by averaging" (1992); the exponential form with bias
correction as in Kingma and Ba, "Adam" (2015), section 3.

`torch.optim.swa_utils.AveragedModel` is not used: it holds a second whole model, the frozen backbone
included, copies that model's buffers at every step, and begins at the first weights, whose share then lingers
for the first 1 / (1 - decay) steps. What it computes with is used: `torch._foreach_lerp_`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from realnet_edge.errors import CheckpointError


class WeightAverage:
    """The average of a model's trained parameters over its steps, kept beside the model.

    After n steps step k counts decay^(n - k) (1 - decay) / (1 - decay^n), and all shares sum to 1.

    Args:
        model: the network, on its device; parameters that are not trained are left alone.
        decay: as `TrainConfig.ema`, in (0, 1).
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._model = model
        self._decay = decay
        trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self._names = list(trained)
        self._weights: list[Tensor] = list(trained.values())
        self._averages = [weight.detach().clone() for weight in self._weights]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after this step, counted from 1; the first one's become the average."""
        share = (1 - self._decay) / (1 - self._decay**step)
        torch._foreach_lerp_(self._averages, self._weights, share)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The averages take the weights' place in the model inside; afterwards all is as it was.

        Buffers, the running statistics of BatchNorm among them, are put back too: what is computed anew
        inside belongs to the averaged weights.
        """
        kept = {name: buffer.clone() for name, buffer in self._model.named_buffers()}
        self._exchange()
        try:
            yield
        finally:
            self._exchange()
            for name, buffer in self._model.named_buffers():
                buffer.copy_(kept[name])

    def state(self) -> dict[str, Tensor]:
        """The averages by the names of their parameters, apart from this object."""
        return {name: v.clone() for name, v in zip(self._names, self._averages, strict=True)}

    @torch.no_grad()
    def load(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a `state`.

        Raises:
            CheckpointError: it is of other parameters.
        """
        for name, average in zip(self._names, self._averages, strict=True):
            if name not in state or state[name].shape != average.shape:
                raise CheckpointError(
                    f"the training state holds no average of {name} with shape {tuple(average.shape)}. "
                    "Start again with --overwrite."
                )
            average.copy_(state[name])

    @torch.no_grad()
    def _exchange(self) -> None:
        """One parameter at a time, so that no third copy of the weights is needed."""
        for weight, average in zip(self._weights, self._averages, strict=True):
            held = weight.clone()
            weight.copy_(average)
            average.copy_(held)
