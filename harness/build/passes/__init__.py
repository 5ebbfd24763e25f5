"""One optimization pass per file: files in, files out, in a process of its own."""

from __future__ import annotations

from collections.abc import Mapping

from harness.build.passes.base import Pass
from harness.core.registry import discover, find


def passes() -> Mapping[str, type[Pass]]:
    """Every pass that a recipe may name."""
    return discover("passes", Pass)


def find_pass(name: str) -> type[Pass]:
    """One of them, without importing the others."""
    return find("passes", Pass, name)
