"""What ``kpis.toml`` may name: metrics, passes, runtimes, scenarios, environments, ways to machines.

They are found by name when the file is read. The packages that hold them come later in the flow of data and are not
imported here.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import harness
from harness.core.registry import GENERAL, Kind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.build.passes.base import Pass
    from harness.build.passes.model_file import ModelFile
    from harness.judge.metrics.base import Metric
    from harness.measure.reach.base import Reach
    from harness.measure.runtimes.base import Runtime
    from harness.measure.scenarios.base import Scenario


def metrics() -> Mapping[str, type[Metric]]:
    """Every metric that a target may name, by its dotted name."""
    return cast("Mapping[str, type[Metric]]", _found("metrics"))


def passes() -> Mapping[str, type[Pass]]:
    """Every pass that a recipe may name."""
    return cast("Mapping[str, type[Pass]]", _found("passes"))


def model_files() -> Mapping[str, type[ModelFile]]:
    """By how the names of model files end, the pass that a recipe then begins with."""
    found = {end: cls for cls in passes().values() for end in getattr(cls, "suffixes", ())}
    return cast("Mapping[str, type[ModelFile]]", found)


def runtimes() -> Mapping[str, type[Runtime]]:
    """Every runtime that a recipe may name."""
    return cast("Mapping[str, type[Runtime]]", _found("runtimes"))


def scenarios() -> Mapping[str, type[Scenario[Any]]]:
    """Every scenario that a metric or a recipe may name."""
    return cast("Mapping[str, type[Scenario[Any]]]", _found("scenarios"))


def reach() -> Mapping[str, type[Reach]]:
    """Every way to a machine that is not this one, by its scheme."""
    return cast("Mapping[str, type[Reach]]", _found("reach"))


def environment_folders(root: Path) -> tuple[Path, ...]:
    """Where requirement files of environments are: ``environments/`` in ``root``, then those of the harness."""
    return (root / "environments", Path(harness.__file__).resolve().parent / "build" / "requirements")


def environments(root: Path) -> dict[str, Path]:
    """Every environment that a recipe may name, with its requirement file; a project's own come before ours."""
    return {p.stem: p for folder in reversed(environment_folders(root)) for p in sorted(folder.glob("*.txt"))}


def _found(kind: Kind) -> object:
    return getattr(importlib.import_module(GENERAL[kind]), kind)()
