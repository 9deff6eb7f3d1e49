"""Runners: one contract over every inference backend."""
