"""The commands of ``kpi``, one a file, found by name."""

from __future__ import annotations

from collections.abc import Mapping

from harness.commands.base import Command
from harness.registry import discover


def commands() -> Mapping[str, type[Command]]:
    """Every command by its name."""
    return discover(__name__, Command)
