"""What ``kpis.toml`` may name: metrics, passes, runtimes, scenarios, environments, ways to machines, releases.

They are found by name when the file is read. The packages that hold them come later in the flow of data and are not
imported here.
"""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import harness
from harness.core.errors import KpiError, suggest
from harness.core.registry import GENERAL, Kind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.build.passes.base import Pass
    from harness.build.passes.model_file import ModelFile
    from harness.evidence.releases.base import ReleasePlace
    from harness.judge.metrics.base import Metric
    from harness.measure.reach.base import Reach
    from harness.measure.runtimes.base import Runtime
    from harness.measure.scenarios.base import Scenario

FILES = "file"
"""The scheme of what lies in folders, which is left out."""
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+):")


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


def releases() -> Mapping[str, type[ReleasePlace]]:
    """Every kind of place that keeps releases, by the scheme of its references."""
    return cast("Mapping[str, type[ReleasePlace]]", _found("releases"))


def scheme_of(reference: str) -> str:
    """What is before the colon of a reference to a release; ``file`` for a path, a drive's letter in it or not."""
    found = _SCHEME.match(reference)
    return found[1] if found else FILES


def release_place(reference: str, root: Path) -> ReleasePlace:
    """The place that a reference names, a path from ``root`` on. Raises KpiError where its kind is not known."""
    if (scheme := scheme_of(reference)) not in releases():
        raise KpiError(suggest(scheme, releases(), "kind of place"), f'in "{reference}"')
    return releases()[scheme](reference.removeprefix(f"{scheme}:"), root)


def environment_folders(root: Path) -> tuple[Path, ...]:
    """Where requirement files of environments are: ``environments/`` in ``root``, then those of the harness."""
    return (root / "environments", Path(harness.__file__).resolve().parent / "build" / "requirements")


def environments(root: Path) -> dict[str, Path]:
    """Every environment that a recipe may name, with its requirement file; a project's own come before ours."""
    return {p.stem: p for folder in reversed(environment_folders(root)) for p in sorted(folder.glob("*.txt"))}


def _found(kind: Kind) -> object:
    return getattr(importlib.import_module(GENERAL[kind]), kind)()
