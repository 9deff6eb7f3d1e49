"""Classifier guidance: sampling is pushed to where a classifier sees the wanted category (ADM, section 4)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from realnet_edge.config.diffusion import ClassifierConfig, DiffusionModelConfig
from realnet_edge.diffusion.classifier import NoisedClassifier
from realnet_edge.errors import ConfigError

_ANOTHER = "Train one with `realnet-edge synth classifier`, or sample without --guidance."


class Guide:
    """Gradients of a classifier, by the categories of a diffusion model.

    It computes in float32 whatever the model computes in: gradients of 16 bits vanish without a scale, and
    the classifier is the smaller of the two.

    Args:
        classifier: in evaluation mode, on the images' device; its parameters want no gradients any more.
        scale: what the gradients are multiplied by.
        categories: of the diffusion model, each known to the classifier.
    """

    def __init__(self, classifier: NoisedClassifier, scale: float, categories: Sequence[str]) -> None:
        self.classifier = classifier.requires_grad_(False)
        self.scale = scale
        known = classifier.config.categories
        self._labels = torch.tensor([known.index(name) for name in categories])

    def __call__(self, current: Tensor, timesteps: Tensor, categories: Tensor) -> Tensor:
        """scale times the gradient of log p(y | x_t) by x_t.

        Args:
            current: (N, 3, S, S), x_t; nothing is recorded on it, and it may come from inference mode.
            timesteps: (N,) int64, 0 to 999.
            categories: (N,) int64, y as a position in the diffusion model's categories.

        Returns:
            (N, 3, S, S), of the images' type.
        """
        # Inference tensors take no part in a graph; their copies made outside that mode do.
        with torch.inference_mode(False), torch.enable_grad():
            images = current.clone().requires_grad_()
            wanted = self._labels.to(current.device)[categories.clone()]
            log_probabilities = F.log_softmax(self.classifier(images, timesteps.clone()), dim=1)
            chosen = log_probabilities.gather(1, wanted[:, None]).sum()
            (gradient,) = torch.autograd.grad(chosen, images)
        return self.scale * gradient


def refuse_other_classifier(classifier: ClassifierConfig, model: DiffusionModelConfig) -> None:
    """Refuse a classifier that cannot judge what a diffusion model draws.

    Raises:
        ConfigError: its images have another size, or it does not know all of the model's categories.
    """
    if classifier.image_size != model.image_size:
        raise ConfigError(
            f"the classifier judges images of {classifier.image_size} x {classifier.image_size} pixels, the "
            f"diffusion model draws {model.image_size} x {model.image_size}. {_ANOTHER} Give it "
            f"--image-size {model.image_size}."
        )
    unknown = [name for name in model.categories if name not in classifier.categories]
    if unknown:
        raise ConfigError(
            f"the classifier does not know {', '.join(unknown)}, which the diffusion model draws; it knows "
            f"{', '.join(classifier.categories)}. {_ANOTHER}"
        )
