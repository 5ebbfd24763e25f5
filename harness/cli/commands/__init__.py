"""The commands of ``kpi``, one a file, found by name."""

from __future__ import annotations

from collections.abc import Mapping

from harness.cli.commands.base import Command
from harness.core.registry import discover_in


def commands() -> Mapping[str, type[Command]]:
    """Every command by its name."""
    return discover_in(__name__, Command)
