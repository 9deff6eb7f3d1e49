"""The RealNet model."""
