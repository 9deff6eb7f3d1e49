"""Frames from folders, videos and cameras, scored one after another."""
