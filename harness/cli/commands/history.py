"""The command that shows what runs answered."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli.commands.base import Command, console, folder_of_runs
from harness.core.errors import KpiError, SpecError, suggest
from harness.core.text import plain

if TYPE_CHECKING:
    from harness.evidence.history.database import History as Database
    from harness.evidence.history.points import Point


class History(Command):
    """``kpi history``."""

    name = "history"
    title = "what the runs answered of a KPI, the newest last; the runs, without a KPI"

    @classmethod
    def arguments(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("kpi", nargs="?", help="a KPI")
        parser.add_argument("--metric", help="only this metric, or kind of metric")
        parser.add_argument("--machine", metavar="NAME", help="only this machine: its id, or a part of its name")
        parser.add_argument("--drift", action="store_true", help="only where figures moved over many runs: a warning")
        parser.add_argument("--json", action="store_true", help="for programs")
        parser.add_argument("--rebuild", action="store_true", help="make the history again from the runs' evidence")
        parser.add_argument(
            "--add", action="append", type=Path, metavar="EVIDENCE", default=[], help="enter a run from elsewhere"
        )

    @classmethod
    def run(cls, chosen: argparse.Namespace) -> int:
        from harness.evidence.history.database import History as Database
        from harness.reports.history import by_machine, drift_table, points_json, runs_json, runs_table

        history = Database(folder_of_runs(chosen.kpis))
        left: list[str] = []
        if chosen.rebuild or chosen.add or not history.path.exists():
            count, left = history.rebuild(chosen.add)
            for problem in left:
                print(f"left out: {plain(problem)}", file=sys.stderr)
            if chosen.rebuild or chosen.add:
                print(f"read the evidence of {count} runs", file=sys.stderr)
        if not (every := history.runs()):
            raise KpiError(f"there is no run in {history.path}", "run pytest first")
        points = _points(chosen, history)
        told = {point.run for point in points}
        runs = [run for run in every if run.id in told or not (chosen.kpi or chosen.machine or chosen.metric)]
        if chosen.json:
            print(json.dumps(points_json(points) if chosen.kpi else runs_json(runs), indent=1))
            return 1 if left else 0
        out = console()
        shown = (
            drift_table(points) if chosen.drift else by_machine(points) if chosen.kpi else [runs_table(runs, points)]
        )
        for block in shown:
            out.print(block)
        print(f"{len(runs)} run{'s' * (len(runs) != 1)} in {plain(history.path)}")
        return 1 if left else 0


def _points(chosen: argparse.Namespace, history: Database) -> list[Point]:
    """The answers that were asked for; SpecError where a name is none that the history knows."""
    from harness.evidence.history.points import of_machine

    points = history.trend(*([chosen.kpi] if chosen.kpi else []))
    if chosen.kpi and not points and chosen.kpi not in (known := history.kpis()):
        raise SpecError([suggest(chosen.kpi, known, "KPI")])
    if chosen.machine and points:
        points = of_machine(points, chosen.machine)
    if chosen.metric and points:
        metrics = {name for p in points for name in (p.metric, p.metric.partition(".")[0])}
        if chosen.metric not in metrics:
            raise SpecError([suggest(chosen.metric, metrics, "metric")])
        points = [p for p in points if chosen.metric in (p.metric, p.metric.partition(".")[0])]
    return points
