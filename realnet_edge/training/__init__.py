"""Training of RealNet on images of good parts."""

from realnet_edge.training.compute import OutOfMemoryError
from realnet_edge.training.loop import Listeners, TrainingDivergedError
from realnet_edge.training.trainer import train

__all__ = ["Listeners", "OutOfMemoryError", "TrainingDivergedError", "train"]
