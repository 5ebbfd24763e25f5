"""Builds the artifacts of several workloads at once, one process for each workload."""

from __future__ import annotations

import multiprocessing
import signal
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from harness.core.errors import KpiError, Unavailable
from harness.core.protocol import die_with_parent
from harness.core.text import plain
from harness.core.units import BYTES

if TYPE_CHECKING:
    from harness.build.builder import Builder
    from harness.spec.model import Recipe, Spec


@dataclass(frozen=True, slots=True)
class Part:
    """What one process builds: recipes of one workload, by their keys, in this order.

    ``install`` makes the environments that they name; ``store`` and ``prompts`` are those of the caller. Files are
    plain text, so that a part goes through JSON as it is.
    """

    kpis: str
    recipes: Sequence[str]
    install: bool
    store: str
    prompts: str | None = None


def parts_of(
    spec: Spec, recipes: Iterable[Recipe], store: Path, *, install: bool, prompts: Path | None = None
) -> list[Part]:
    """One part for each workload. What its recipes share is then made once, and no process waits for another."""
    by_workload: dict[str, dict[str, None]] = {}
    for recipe in recipes:
        by_workload.setdefault(recipe.workload, {})[recipe.key] = None
    asked = str(prompts) if prompts else None
    return [Part(str(spec.path.resolve()), list(keys), install, str(store), asked) for keys in by_workload.values()]


def build_all(parts: Sequence[Part], jobs: int) -> Iterator[int]:
    """How many recipes of each part are broken, as the parts are done; an interrupt ends all processes."""
    if jobs == 1 or len(parts) < 2:  # noqa: PLR2004 - one needs no other process
        yield from map(build_part, parts)
        return
    with multiprocessing.get_context("spawn").Pool(min(jobs, len(parts)), _follow_parent) as pool:
        yield from pool.imap_unordered(build_part, parts)


def _follow_parent() -> None:
    """Ctrl-C reaches all, but the parent ends the others; when it dies, so do they."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with_parent()


def build_part(part: Part) -> int:
    """Builds some recipes of one workload, prints a line for each; returns how many are broken."""
    from harness.build.builder import Builder
    from harness.build.environments import Environments
    from harness.build.store import Store
    from harness.spec.reader import read_spec

    spec = read_spec(Path(part.kpis))
    if part.prompts:
        spec = spec.with_prompts(Path(part.prompts))
    store = Store(Path(part.store))
    with tempfile.TemporaryDirectory(prefix="kpi-build-") as folder:
        environments = Environments(store, spec.root, install=part.install)
        log = Path(folder) / "build.log"
        builder = Builder(spec, store, environments, log, lambda text: _say(sys.stderr, f"{plain(text)} ..."))
        recipes = {recipe.key: recipe for workload in spec.workloads.values() for recipe in workload.recipes.values()}
        return sum(not _build(builder, recipes[key]) for key in part.recipes)


def _build(builder: Builder, recipe: Recipe) -> bool:
    """Whether a recipe is built, or waits for what is not here."""
    try:
        made = builder.artifact(recipe)
        builder.samples(builder.spec.workloads[recipe.workload])
        if builder.environments.install:
            builder.environments.interpreter(recipe.environment)
    except KpiError as error:
        here = not isinstance(error, Unavailable)
        _say(sys.stdout, f"{'broken' if here else 'unavailable':22}  {plain(recipe.key)}: {plain(error)}")
        return not here
    _say(sys.stdout, f"{made.digest[:12]}  {BYTES.format(made.size):>8}  {plain(recipe.key)}")
    return True


def _say(stream: TextIO, line: str) -> None:
    """Writes a line in one piece: where several processes share a stream, print's two writes get mixed up."""
    stream.write(f"{line}\n")
    stream.flush()
