"""Accuracy of image scores and anomaly maps."""
