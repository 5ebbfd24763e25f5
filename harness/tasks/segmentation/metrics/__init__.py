"""Metrics of this family, found by name."""
