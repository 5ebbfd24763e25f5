"""The command that puts every promised artifact into the store, for machines that then measure one and the same."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from harness.commands.base import Command
from harness.errors import KpiError, SpecError, Unavailable, suggest
from harness.reports.text import plain
from harness.units import BYTES


class Build(Command):
    """``kpi build``."""

    name = "build"
    title = "makes the artifacts that the KPIs promise; measures nothing"

    @classmethod
    def arguments(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("named", nargs="*", metavar="KPI", help="only what these need (default: all)")
        parser.add_argument("--install", action="store_true", help="make the environments that recipes name")

    @classmethod
    def run(cls, chosen: argparse.Namespace) -> int:
        from harness.builder import Builder
        from harness.environments import Environments
        from harness.spec_reader import read_spec
        from harness.store import Store

        spec = read_spec(chosen.kpis)
        if unknown := [name for name in chosen.named if name not in {kpi.name for kpi in spec.kpis}]:
            raise SpecError([suggest(name, (kpi.name for kpi in spec.kpis), "KPI") for name in unknown])
        wanted = [t for t in spec.targets if not chosen.named or t.kpi in chosen.named]
        recipes = {recipe.key: recipe for target in wanted for recipe in spec.recipes_of(target)}
        store, broken = Store(), 0
        with tempfile.TemporaryDirectory(prefix="kpi-build-") as folder:
            environments = Environments(store, spec.root, install=chosen.install)
            log = Path(folder) / "build.log"
            builder = Builder(spec, store, environments, log, lambda text: print(f"{plain(text)} ...", file=sys.stderr))
            for key, recipe in recipes.items():
                try:
                    made = builder.artifact(recipe)
                    builder.samples(spec.workloads[recipe.workload])
                    print(f"{made.digest[:12]}  {BYTES.format(made.size):>8}  {plain(key)}", flush=True)
                except Unavailable as error:
                    print(f"{'unavailable':22}  {plain(key)}: {plain(error)}", flush=True)
                except KpiError as error:
                    broken += 1
                    print(f"{'broken':22}  {plain(key)}: {plain(error)}", flush=True)
        return 1 if broken else 0
