"""RealNet anomaly detection, from a folder of good parts to a verified engine."""

__version__ = "0.1.0"
