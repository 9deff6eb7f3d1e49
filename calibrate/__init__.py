"""Reduced precision, thresholds and the bundles built from them."""
