"""Runtimes of this family, found by name."""
