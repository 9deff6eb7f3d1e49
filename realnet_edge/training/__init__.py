"""Training of RealNet on images of good parts."""

from realnet_edge.training.trainer import TrainingDivergedError, train

__all__ = ["TrainingDivergedError", "train"]
