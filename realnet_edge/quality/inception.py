"""InceptionV3 as the Frechet inception distance has it, from a file of its weights.

The published distance is computed with weights ported from TensorFlow in 2015
(`pt_inception-2015-12-05-6726825d.pth`), a network that differs from torchvision's in its pooling: averages
leave padding out, and the last block takes a maximum. torchvision's own weights
(`inception_v3_google-0cc3c7bd.pth`) are read as well, but give another distance.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import Inception3

from realnet_edge.errors import CheckpointError
from realnet_edge.model.backbone import read_weights

SIZE = 299
FEATURES = 2048
# Classes of the two networks: they tell the files apart.
_PUBLISHED_CLASSES = 1008
_TORCHVISION_CLASSES = 1000


# Blocks whose pooling differs; in the last one it is a maximum.
_AVERAGED = ("Mixed_5b", "Mixed_5c", "Mixed_5d", "Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e", "Mixed_7b")
_LAST = "Mixed_7c"


class _Repooled(nn.Module):
    """One of torchvision's blocks, the branch that pools with another pooling."""

    def __init__(self, block: Any, pool: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.block = block
        self.pool = pool

    def forward(self, x: Tensor) -> Tensor:
        # torchvision is not typed: what its blocks have cannot be known here.
        block: Any = self.block
        return torch.cat([*block._forward(x)[:-1], block.branch_pool(self.pool(x))], dim=1)


def _average(x: Tensor) -> Tensor:
    """3 x 3 averages of the pixels that there are, padding left out."""
    return functional.avg_pool2d(x, kernel_size=3, stride=1, padding=1, count_include_pad=False)


class InceptionFeatures(nn.Module):
    """The 2048 pooled features before the classifier.

    Args:
        weights: a file of either network's weights.

    Attributes:
        published: whether it is the network of the published distance.
        label: which one, for tables.

    Raises:
        CheckpointError: the file is missing, unreadable, or of another network.
    """

    def __init__(self, weights: Path) -> None:
        super().__init__()
        state = read_weights(weights)
        classes = len(state["fc.bias"]) if "fc.bias" in state else 0
        if classes not in (_PUBLISHED_CLASSES, _TORCHVISION_CLASSES):
            raise CheckpointError(
                f"{weights}: no InceptionV3 weights. Give pt_inception-2015-12-05-6726825d.pth, or "
                "torchvision's inception_v3_google-0cc3c7bd.pth."
            )
        self.published = classes == _PUBLISHED_CLASSES
        origin = "of the published FID" if self.published else "of torchvision, not of the published FID"
        self.label = f"InceptionV3 (weights {origin})"
        self.network = _network(state, weights)
        if self.published:
            for name in _AVERAGED:
                setattr(self.network, name, _Repooled(getattr(self.network, name), _average))
            setattr(self.network, _LAST, _Repooled(getattr(self.network, _LAST), _maximum))
        self.requires_grad_(False)
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """(N, H, W, 3) uint8 RGB to (N, 2048) float32.

        Images are brought to 299 x 299 by bilinear interpolation without antialiasing and to -1..1: so the
        published distance is computed, and so was torchvision's network trained.
        """
        values = images.permute(0, 3, 1, 2).float() / 255.0
        values = functional.interpolate(values, (SIZE, SIZE), mode="bilinear", align_corners=False)
        pooled: Tensor = self.network(2.0 * values - 1.0)
        return pooled


def _maximum(x: Tensor) -> Tensor:
    return functional.max_pool2d(x, kernel_size=3, stride=1, padding=1)


def _network(state: Mapping[str, Tensor], origin: Path) -> nn.Module:
    """torchvision's network with these weights, its features where its classifier would take them."""
    network: nn.Module = Inception3(aux_logits=False, transform_input=False, init_weights=False)
    network.fc = nn.Identity()
    _load(network, state, origin)
    return network


def _load(network: nn.Module, state: Mapping[str, Tensor], origin: Path) -> None:
    wanted = network.state_dict()
    missing = [
        key
        for key in wanted
        if not key.endswith("num_batches_tracked")
        and (key not in state or state[key].shape != wanted[key].shape)
    ]
    if missing:
        raise CheckpointError(
            f"{origin}: {len(missing)} of InceptionV3's tensors are missing or of another shape, the first "
            f"is {missing[0]!r}."
        )
    network.load_state_dict({key: state.get(key, value) for key, value in wanted.items()})
