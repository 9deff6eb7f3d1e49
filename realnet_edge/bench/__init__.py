"""Measures every engine of a category: accuracy, drift and speed in the same row."""
