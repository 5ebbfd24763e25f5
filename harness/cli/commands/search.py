"""The command that searches a recipe."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from harness.build.store import Store
from harness.cli.commands.base import Command, console
from harness.core.errors import KpiError
from harness.core.text import plain
from harness.measure.machine.detect import detect
from harness.spec.reader import read_spec

if TYPE_CHECKING:
    from harness.search.pareto import Row
    from harness.spec.model import Kpi

TRIALS, MINUTES, SEED = 60, 25.0, 1


class Search(Command):
    """``kpi search``."""

    name = "search"
    title = "looks for a recipe that meets all targets of a KPI at once; measures"

    @classmethod
    def arguments(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("kpi", help="the KPI whose targets are to be met, all at once")
        parser.add_argument("--trials", type=int, default=TRIALS, help=f"candidates in all (default: {TRIALS})")
        parser.add_argument("--minutes", type=float, default=MINUTES, help=f"time for this run (default: {MINUTES:g})")
        parser.add_argument("--seed", type=int, default=SEED, help="another order of trying")
        parser.add_argument(
            "--write", action="store_true", help="add the recipe that was found to the file of promises"
        )
        parser.add_argument("--json", action="store_true", help="the outcome as JSON on standard output")

    @classmethod
    def run(cls, chosen: argparse.Namespace) -> int:
        from harness.search.progress import Voice
        from harness.search.report import conclusion, front_table, to_json
        from harness.search.run import Limits
        from harness.search.run import Search as RecipeSearch
        from harness.search.study import import_optuna

        if chosen.trials < 1 or not chosen.minutes > 0:
            raise KpiError("--trials and --minutes must be above 0")
        spec = read_spec(chosen.kpis)
        import_optuna()
        voice = Voice(Console(stderr=True, highlight=False, soft_wrap=True), chosen.trials)
        search = RecipeSearch(
            spec, chosen.kpi, detect(), Store(), seed=chosen.seed, progress=voice.progress, told=voice.told
        )
        voice.kpi = search.kpi
        try:
            outcome = search.run(Limits(chosen.trials, chosen.minutes))
        except KeyboardInterrupt:
            voice.say("stopped; the same command goes on where it was")
            raise
        finally:
            voice.progress("")
        diff = ""
        if chosen.write and outcome.winner is not None and not outcome.winner.own:
            diff = _write(search.file, search.kpi, outcome.winner)
        if chosen.json:
            sys.stdout.write(to_json(outcome, diff) + "\n")
        else:
            out = console()
            out.print(front_table(outcome))
            out.print()
            for said in conclusion(outcome):
                out.print(Text(plain(said)), soft_wrap=True)
            if chosen.write and outcome.winner is not None:
                said = "added to" if diff else "in"
                out.print(Text(f'{outcome.winner.name} is {said} {plain(chosen.kpis)}; promise it with recipe = "..."'))
            if diff:
                out.print()
                out.print(Text("".join(c if c.isprintable() or c == "\n" else "?" for c in diff)), soft_wrap=True)
        return 0 if outcome.winner is not None else 1


def _write(path: Path, kpi: Kpi, row: Row) -> str:
    from harness.search.write import add_recipe

    return add_recipe(path, kpi.workload, row.name, row.table, "found by `kpi search`")
