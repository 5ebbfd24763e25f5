"""Scenarios of this family, found by name."""
