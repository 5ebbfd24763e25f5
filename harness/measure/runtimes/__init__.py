"""One runtime per file: loads an artifact on a device, proves where it runs."""

from __future__ import annotations

from collections.abc import Mapping

from harness.core.registry import discover, find
from harness.measure.runtimes.base import Runtime


def runtimes() -> Mapping[str, type[Runtime]]:
    """Every runtime that a recipe may name."""
    return discover("runtimes", Runtime)


def runtime(name: str) -> type[Runtime]:
    """One of them, without importing the others."""
    return find("runtimes", Runtime, name)
