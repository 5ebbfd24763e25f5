"""Passes of this family, found by name."""
