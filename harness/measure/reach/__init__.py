"""Machines that are reached: built here, measured there; one way to a machine (ssh) is one file."""

from __future__ import annotations

from collections.abc import Mapping

from harness.core.registry import discover
from harness.measure.reach.base import Reach


def reach() -> Mapping[str, type[Reach]]:
    """Every way to a machine, by its scheme."""
    return discover("reach", Reach)
