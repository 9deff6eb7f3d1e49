"""The network, its parts and its checkpoint."""

from realnet_edge.model.realnet import RealNet, RealNetOutput, anomaly_map, image_score, losses

__all__ = ["RealNet", "RealNetOutput", "anomaly_map", "image_score", "losses"]
