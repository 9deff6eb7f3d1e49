"""Synthetic anomalies made from images of good parts."""
