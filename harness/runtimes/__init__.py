"""One runtime per file: loads an artifact on a device, proves where it runs."""

from __future__ import annotations

from collections.abc import Mapping

from harness.registry import discover, find
from harness.runtimes.base import Runtime


def runtimes() -> Mapping[str, type[Runtime]]:
    """Every runtime that a recipe may name."""
    return discover("harness.runtimes", Runtime)


def runtime(name: str) -> type[Runtime]:
    """One of them, without importing the others."""
    return find("harness.runtimes", Runtime, name)
