"""All measures of a set of synthetic images at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from realnet_edge.errors import ConfigError
from realnet_edge.quality.features import Images, extract, pairwise_distances
from realnet_edge.quality.frechet import frechet_distance
from realnet_edge.quality.inception import InceptionFeatures
from realnet_edge.quality.neighbours import (
    NEIGHBOURS,
    Copies,
    clustered_diversity,
    find_copies,
    precision_recall,
)
from realnet_edge.quality.perceptual import Lpips, PerceptualVectors, StandIn


@dataclass(frozen=True)
class Networks:
    """What the images are looked at with.

    Attributes:
        pooled: makes (N, H, W, 3) uint8 into (N, D) features, for the Frechet distance, precision and recall.
        pooled_label: its name, for tables.
        pooled_official: whether the distance is the published Frechet inception distance (FID).
        vectors: for perceptual distances.
        device: where both compute.
    """

    pooled: Callable[[Tensor], Tensor]
    pooled_label: str
    pooled_official: bool
    vectors: PerceptualVectors
    device: torch.device


@dataclass(frozen=True)
class Quality:
    """What a set of samples is worth.

    Attributes:
        samples, reference, training: how many images there were of each.
        features: network of the Frechet distance, precision and recall.
        official_frechet: whether `frechet` is the published FID.
        frechet: distance of the samples from the reference.
        frechet_training: distance of the training images from it, for scale.
        precision, recall: of the samples among the reference, 0 to 1; None where either set is too small.
        perceptual: which perceptual distance.
        official_lpips: whether `cluster_lpips` is LPIPS as published.
        cluster_lpips: mean distance of samples that resemble the same reference image; None without a pair.
        copies: how near the samples are to training images.
    """

    samples: int
    reference: int
    training: int
    features: str
    official_frechet: bool
    frechet: float
    frechet_training: float
    precision: float | None
    recall: float | None
    perceptual: str
    official_lpips: bool
    cluster_lpips: float | None
    copies: Copies

    def to_dict(self) -> dict[str, Any]:
        """As JSON values; of `copies` the figures over all samples."""
        found = {name: value for name, value in vars(self).items() if name != "copies"}
        names = ("median", "training_median", "limit", "share")
        return {**found, "nearest_training": {name: getattr(self.copies, name) for name in names}}


def load_networks(
    backbone: str,
    device: torch.device,
    inception: Path | None = None,
    lpips: Path | None = None,
    lpips_network: Path | None = None,
    backbone_weights: Path | None = None,
) -> Networks:
    """The official networks where their weights are given, else stand-ins on an ImageNet backbone.

    Args:
        backbone: of the stand-ins, one of `realnet_edge.backbones.BACKBONES`.
        device: where they are to compute.
        inception: file of InceptionV3's weights, as `InceptionFeatures` reads it.
        lpips, lpips_network: files of LPIPS's linear weights and of its network's, as `Lpips` reads them.
        backbone_weights: file of the backbone's; None for the installed package's or timm's hub.

    Raises:
        CheckpointError: a file that is missing or does not fit.
        ConfigError: one of LPIPS's two files without the other.
    """
    if (lpips is None) != (lpips_network is None):
        raise ConfigError(
            "LPIPS needs two files: --lpips with its linear weights and --lpips-network with AlexNet's or "
            "VGG-16's. Give both, or neither for a stand-in."
        )
    official = InceptionFeatures(inception).to(device) if inception else None
    vectors = Lpips(lpips, lpips_network).to(device) if lpips and lpips_network else None
    if official and vectors:
        return Networks(official, official.label, official.published, vectors, device)
    stand_in = StandIn(backbone, backbone_weights).to(device)
    if official:
        return Networks(official, official.label, official.published, stand_in, device)
    return Networks(stand_in.pooled, stand_in.pooled_label, False, vectors or stand_in, device)


def measure_quality(samples: Images, reference: Images, training: Images, networks: Networks) -> Quality:
    """Compare synthetic images with real ones and with the images they were made from.

    Args:
        samples: the synthetic images, (N, H, W, 3) uint8 RGB.
        reference: real images that they are to resemble, of the same size: defects, as in the paper.
        training: normal images that the generator saw.
        networks: what to look with.

    Raises:
        DataError: fewer than two images of a kind.
    """
    features = [extract(networks.pooled, part, networks.device) for part in (samples, reference, training)]
    enough = min(len(samples), len(reference)) > NEIGHBOURS
    precision, recall = precision_recall(features[1], features[0]) if enough else (None, None)
    everything = np.concatenate([samples, reference, training])
    distances = pairwise_distances(networks.vectors, everything, networks.device)
    ends = len(samples), len(samples) + len(reference)
    return Quality(
        samples=len(samples),
        reference=len(reference),
        training=len(training),
        features=networks.pooled_label,
        official_frechet=networks.pooled_official,
        frechet=frechet_distance(features[0], features[1]),
        frechet_training=frechet_distance(features[2], features[1]),
        precision=precision,
        recall=recall,
        perceptual=networks.vectors.label,
        official_lpips=networks.vectors.official,
        cluster_lpips=clustered_diversity(
            distances[: ends[0], ends[0] : ends[1]], distances[: ends[0], : ends[0]]
        ),
        copies=find_copies(distances[: ends[0], ends[1] :], distances[ends[1] :, ends[1] :]),
    )
