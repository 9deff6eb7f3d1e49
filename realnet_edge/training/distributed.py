"""Data-parallel training: `torchrun` starts the processes, each takes its part of every batch.

The processes compute together what one process computes on the whole batch: losses and gradients are
averaged over equal parts, and BatchNorm normalises by the statistics of all of them. PyTorch's own
SyncBatchNorm does that on GPUs only, so there is one here that works with every backend.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn

from realnet_edge.errors import ConfigError, RealnetEdgeError
from realnet_edge.model.statistics import follow_statistics

_T = TypeVar("_T")


@dataclass(frozen=True)
class Group:
    """The processes of one training, seen from one of them.

    Attributes:
        rank: this process's number, from 0.
        size: how many there are.
        local_rank: this process's number on its machine.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and speaks to the user."""
        return self.rank == 0

    def part(self, numbers: range) -> range:
        """This process's equal, contiguous part of a batch's sample numbers."""
        each = len(numbers) // self.size
        return numbers[self.rank * each : (self.rank + 1) * each]

    def mean(self, values: Tensor) -> Tensor:
        """The mean of a tensor over all processes, the same in each; without gradients."""
        return _summed(values) / self.size if self.size > 1 else values

    def from_main(self, value: _T) -> _T:
        """What the main process holds, in every process. Others wait for it."""
        if self.size == 1:
            return value
        box: list[Any] = [value]
        dist.broadcast_object_list(box, src=0)
        received: _T = box[0]
        return received

    def on_main(self, work: Callable[[], _T]) -> _T:
        """What `work` gives in the main process, in all of them; errors of ours are raised in all."""
        outcome: tuple[_T | None, RealnetEdgeError | None] = (None, None)
        if self.is_main:
            try:
                outcome = (work(), None)
            except RealnetEdgeError as error:
                if self.size == 1:
                    raise
                outcome = (None, error)
        result, failure = self.from_main(outcome)
        if failure is not None:
            raise failure
        return cast(_T, result)

    def share_state(self, module: nn.Module) -> None:
        """Give every process the main one's parameters and buffers."""
        if self.size > 1:
            for tensor in (*module.parameters(), *module.buffers()):
                dist.broadcast(tensor.detach(), src=0)

    def wait(self) -> None:
        """Go on when all processes are here."""
        if self.size > 1:
            dist.barrier()


def environment_group() -> Group:
    """What `torchrun` says about this process; a process of its own without it.

    Raises:
        ConfigError: its variables are there in part.
    """
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
    values = [os.environ.get(name) for name in names]
    if all(value is None for value in values):
        return Group()
    try:
        rank, size, local_rank = (int(value or "") for value in values)
    except ValueError as error:
        given = ", ".join(f"{name}={value}" for name, value in zip(names, values, strict=True))
        raise ConfigError(
            f"the environment names processes in part ({given}): start data-parallel training with torchrun, "
            "or remove these variables."
        ) from error
    return Group(rank, size, local_rank)


@contextmanager
def connected(group: Group, device: torch.device) -> Iterator[None]:
    """The group's processes talk to each other inside; nothing happens where there is one."""
    if group.size == 1:
        yield
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group(
        "nccl" if device.type == "cuda" else "gloo", rank=group.rank, world_size=group.size
    )
    try:
        yield
    finally:
        dist.destroy_process_group()


class GroupBatchNorm2d(nn.BatchNorm2d):
    """BatchNorm over the batches of all processes; alike in everything else, keys of its state included."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        values = x.float()
        # Two passes, as subtracting the squares' mean loses digits that one process would keep.
        mean = _group_mean(values.mean(dim=(0, 2, 3)))
        centred = values - mean[:, None, None]
        variance = _group_mean((centred * centred).mean(dim=(0, 2, 3)))
        count = dist.get_world_size() * x.numel() // x.shape[1]
        follow_statistics(self, mean.detach(), variance.detach(), count)
        normalised = centred * torch.rsqrt(variance + self.eps)[:, None, None]
        if self.affine:
            normalised = normalised * self.weight[:, None, None] + self.bias[:, None, None]
        return normalised.to(x.dtype)


def use_group_statistics(module: nn.Module) -> None:
    """Replace every BatchNorm2d inside by `GroupBatchNorm2d`, in place; the state stays as it is."""
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            norm = GroupBatchNorm2d(child.num_features, child.eps, child.momentum, child.affine)
            norm.load_state_dict(child.state_dict())
            setattr(module, name, norm.to(next(iter(child.buffers())).device))
        else:
            use_group_statistics(child)


class _Sum(torch.autograd.Function):
    """Sum over processes; so is the gradient, for each process's loss depends on every part."""

    @staticmethod
    def forward(_context: Any, values: Tensor) -> Tensor:
        return _summed(values)

    @staticmethod
    def backward(_context: Any, *gradients: Tensor) -> Tensor:
        return _summed(gradients[0])


def _group_mean(values: Tensor) -> Tensor:
    total: Tensor = _Sum.apply(values)
    return total / dist.get_world_size()


def _summed(values: Tensor) -> Tensor:
    total = values.detach().clone(memory_format=torch.contiguous_format)
    dist.all_reduce(total)
    return total
