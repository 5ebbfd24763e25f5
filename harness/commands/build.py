"""The command that puts every promised artifact into the store, for machines that then measure one and the same."""

from __future__ import annotations

import argparse
import multiprocessing
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.commands.base import Command
from harness.errors import KpiError, SpecError, Unavailable, suggest
from harness.protocol import die_with_parent
from harness.reports.text import plain
from harness.units import BYTES

if TYPE_CHECKING:
    from harness.builder import Builder
    from harness.spec import Recipe, WorkloadSpec


class Build(Command):
    """``kpi build``."""

    name = "build"
    title = "makes the artifacts that the KPIs promise; measures nothing"

    @classmethod
    def arguments(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("named", nargs="*", metavar="KPI", help="only what these need (default: all)")
        parser.add_argument("--install", action="store_true", help="make the environments that recipes name")
        parser.add_argument("--jobs", type=int, default=1, metavar="N", help="so many workloads at once (default: 1)")

    @classmethod
    def run(cls, chosen: argparse.Namespace) -> int:
        from harness.spec_reader import read_spec

        spec = read_spec(chosen.kpis)
        if unknown := [name for name in chosen.named if name not in {kpi.name for kpi in spec.kpis}]:
            raise SpecError([suggest(name, (kpi.name for kpi in spec.kpis), "KPI") for name in unknown])
        if chosen.jobs < 1:
            raise SpecError([f"--jobs {chosen.jobs}: at least 1 workload is built at a time"])
        wanted = [target for target in spec.targets if not chosen.named or target.kpi in chosen.named]
        recipes = {recipe.key: recipe for target in wanted for recipe in spec.recipes_of(target)}
        # What recipes of one workload share is then made once, and nobody waits for it.
        workloads = dict.fromkeys(recipe.workload for recipe in recipes.values())
        parts = [
            (chosen.kpis, tuple(key for key in recipes if recipes[key].workload == workload), chosen.install)
            for workload in workloads
        ]
        return 1 if sum(_all(parts, chosen.jobs)) else 0


Part = tuple[Path, tuple[str, ...], bool]
"""The TOML, the keys of a workload's recipes, whether to install environments."""


def _all(parts: Sequence[Part], jobs: int) -> Iterator[int]:
    """How many recipes of each part are broken, as they are done; interrupted, whoever builds is ended."""
    if jobs == 1 or len(parts) < 2:  # noqa: PLR2004 - one needs no other process
        yield from map(_made, parts)
        return
    with multiprocessing.get_context("spawn").Pool(min(jobs, len(parts)), _follow_parent) as pool:
        yield from pool.imap_unordered(_made, parts)


def _follow_parent() -> None:
    """Ctrl-C reaches all, but the parent ends the others; when it dies, so do they."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with_parent()


def _made(part: Part) -> int:
    """Builds some recipes of one workload, a line for each; returns how many are broken."""
    from harness.builder import Builder
    from harness.environments import Environments
    from harness.spec_reader import read_spec
    from harness.store import Store

    kpis, keys, install = part
    spec = read_spec(kpis)
    store = Store()
    with tempfile.TemporaryDirectory(prefix="kpi-build-") as folder:
        environments = Environments(store, spec.root, install=install)
        log = Path(folder) / "build.log"
        builder = Builder(spec, store, environments, log, lambda text: print(f"{plain(text)} ...", file=sys.stderr))
        every = {recipe.key: recipe for target in spec.targets for recipe in spec.recipes_of(target)}
        return sum(not _one(builder, spec.workloads[every[key].workload], every[key]) for key in keys)


def _one(builder: Builder, workload: WorkloadSpec, recipe: Recipe) -> bool:
    """Whether a recipe is built, or waits for what is not here."""
    try:
        made = builder.artifact(recipe)
        builder.samples(workload)
    except KpiError as error:
        here = not isinstance(error, Unavailable)
        print(f"{'broken' if here else 'unavailable':22}  {plain(recipe.key)}: {plain(error)}", flush=True)
        return not here
    print(f"{made.digest[:12]}  {BYTES.format(made.size):>8}  {plain(recipe.key)}", flush=True)
    return True
