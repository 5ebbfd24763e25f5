"""One scenario per file: how an artifact is exercised; MLPerf's names where they exist."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.core.registry import discover, find
from harness.measure.scenarios.base import Scenario


def scenarios() -> Mapping[str, type[Scenario[Any]]]:
    """Every scenario that a metric or a recipe may name."""
    return discover("scenarios", Scenario)


def scenario(name: str) -> type[Scenario[Any]]:
    """One of them, without importing the others."""
    return find("scenarios", Scenario, name)
