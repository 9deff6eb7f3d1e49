"""Data folders, their checks and their splits."""
