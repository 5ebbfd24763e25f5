"""The command that puts every promised artifact into the store, for machines that then measure one and the same."""

from __future__ import annotations

import argparse

from harness.cli.commands.base import Command
from harness.core.errors import SpecError, suggest


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
        from harness.build.pool import build_all, parts_of
        from harness.build.store import Store
        from harness.spec.reader import read_spec

        spec = read_spec(chosen.kpis)
        if unknown := [name for name in chosen.named if name not in {kpi.name for kpi in spec.kpis}]:
            raise SpecError([suggest(name, (kpi.name for kpi in spec.kpis), "KPI") for name in unknown])
        if chosen.jobs < 1:
            raise SpecError([f"--jobs {chosen.jobs}: at least 1 workload is built at a time"])
        wanted = [target for target in spec.targets if not chosen.named or target.kpi in chosen.named]
        recipes = {recipe.key: recipe for target in wanted for recipe in spec.recipes_of(target)}
        parts = parts_of(spec, recipes.values(), Store().root, install=chosen.install)
        return 1 if sum(build_all(parts, chosen.jobs)) else 0
