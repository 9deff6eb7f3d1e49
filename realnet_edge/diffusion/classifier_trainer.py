"""Training the classifier that guides sampling: cross-entropy on noised images, at uniform time steps."""

from __future__ import annotations

import dataclasses

from torch import Tensor
from torch.nn import functional as F

from realnet_edge.config.diffusion import ClassifierConfig
from realnet_edge.config.diffusion_training import ClassifierTrainConfig
from realnet_edge.data import CategoryData
from realnet_edge.diffusion.accuracy import measures_accuracy
from realnet_edge.diffusion.adm import load_adm_classifier
from realnet_edge.diffusion.advice import refuse_one_category
from realnet_edge.diffusion.checkpoint import CLASSIFIER, ClassifierCheckpoint
from realnet_edge.diffusion.classifier import NoisedClassifier
from realnet_edge.diffusion.noised_step import NoisedBatch, NoisedStep
from realnet_edge.diffusion.noised_training import Kind, Start, train_noised
from realnet_edge.training.loop import Listeners
from realnet_edge.workspace import CategoryPaths

_SILENT = Listeners()


class ClassifierStep(NoisedStep[NoisedClassifier]):
    """Optimiser steps on a classifier; its figures are the cross-entropy and the accuracy."""

    figures = ("cross_entropy", "accuracy")

    def judge(self, batch: NoisedBatch) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        with self.compute.autocast():
            logits = self.model(batch.current, self.process.timesteps(batch.index))
        loss = F.cross_entropy(logits.float(), batch.labels)
        right = (logits.argmax(dim=1) == batch.labels).float().mean()
        return loss, (loss, right)

    def describe(self, figures: Tensor) -> str:
        return f"cross-entropy {figures[0]:.4f} nats  accuracy {100 * figures[1]:.1f}%"


def train_classifier(
    category: CategoryData,
    paths: CategoryPaths,
    model_config: ClassifierConfig,
    config: ClassifierTrainConfig,
    start: Start | None = None,
    listeners: Listeners = _SILENT,
) -> ClassifierCheckpoint | None:
    """Train a classifier to tell categories apart on noised images, and write its checkpoint.

    At every milestone its accuracy is measured, by ranges of time steps, on images that it is not trained
    on: those set apart for calibration, as the ones held out for the threshold must stay unseen by all.

    Args:
        category: several categories as one.
        paths: where checkpoint and state go: `CategoryPaths.classifier`.
        model_config: its `categories` are replaced by those of `category`.
        listeners: who hears of the progress, of the cross-entropy in nats and of the accuracy in 0..1.

    Returns:
        The checkpoint; None where only an estimate was asked for.

    Raises:
        DataError: there is one category only.
        RealnetEdgeError: as `train_noised` has them.
    """
    refuse_one_category(category)
    structure = dataclasses.replace(model_config, categories=tuple(part.name for part in category.singles))
    kind = Kind(
        name="classifier",
        looks="the accuracy on unseen images",
        folder=CLASSIFIER,
        make=lambda: NoisedClassifier(structure),
        load=load_adm_classifier,
        step=lambda model, compute, process: ClassifierStep(model, config, compute, process),
        ema=None,
        examine=measures_accuracy,
    )
    return train_noised(kind, category, paths, structure, config, start, listeners)
