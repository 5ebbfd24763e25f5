"""One metric per file: formula, unit and source stand in its docstring."""

from __future__ import annotations

from collections.abc import Mapping

from harness.metrics.base import Metric
from harness.registry import discover


def metrics() -> Mapping[str, type[Metric]]:
    """Every metric that a target may name, by its dotted name."""
    return discover("harness.metrics", Metric)
