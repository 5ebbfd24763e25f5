"""The commands about runs that were: ``kpi history`` and ``kpi compare``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from harness.errors import KpiError, SpecError, suggest
from harness.reports.text import plain

if TYPE_CHECKING:
    from harness.compare import Comparison
    from harness.history import History, Point

Add = Callable[[str, object, str], argparse.ArgumentParser]


def add_commands(add: Add) -> None:
    """Adds the commands to ``kpi``."""
    history = add("history", _history, "what the runs answered of a KPI, the newest last; the runs, without a KPI")
    history.add_argument("kpi", nargs="?", help="a KPI")
    history.add_argument("--metric", help="only this metric, or kind of metric")
    history.add_argument("--machine", metavar="NAME", help="only this machine: its id, or a part of its name")
    history.add_argument("--json", action="store_true", help="for programs")
    history.add_argument("--rebuild", action="store_true", help="make the history again from the evidence of the runs")
    history.add_argument(
        "--add", action="append", type=Path, metavar="EVIDENCE", default=[], help="enter a run from elsewhere"
    )
    compared = add("compare", _compare, "two runs side by side: what moved, what is real of it")
    for name, text in (("base", "the run before"), ("new", "the run after (default: the newest)")):
        compared.add_argument(
            name, nargs="?", help=f"{text}: evidence.json, a folder, a run's id or start, REV or REV:PATH of git"
        )
    compared.add_argument("--any-machine", action="store_true", help="call changes also between different machines")
    compared.add_argument(
        "--fail-on",
        choices=["never", "regression", "change"],
        default="never",
        help="exit code 1 when a target is worse, lost its PASS or is gone; or when anything is other than before",
    )
    compared.add_argument("--json", action="store_true", help="for programs")
    compared.add_argument("--markdown", type=Path, metavar="FILE", help="also as Markdown, for a pull request")


def folder_of_runs(kpis: Path) -> Path:
    """``.kpi`` beside the file of promises, or where pytest was called."""
    beside, here = kpis.resolve().parent / ".kpi", Path.cwd() / ".kpi"
    return beside if beside.exists() or not here.exists() else here


def _history(chosen: argparse.Namespace) -> int:
    from harness.history import History
    from harness.reports.history import by_machine, points_json, runs_json, runs_table

    history = History(folder_of_runs(chosen.kpis))
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
    console = Console(highlight=False)
    for block in by_machine(points) if chosen.kpi else [runs_table(runs, points)]:
        console.print(block)
    print(f"{len(runs)} runs in {plain(history.path)}")
    return 1 if left else 0


def _points(chosen: argparse.Namespace, history: History) -> list[Point]:
    """The answers that were asked for; SpecError where a name is none that the history knows."""
    from harness.history import of_machine

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


def _compare(chosen: argparse.Namespace) -> int:
    from harness.compare import compare
    from harness.evidence import write_atomically
    from harness.history import History
    from harness.reports.comparison import markdown, terminal
    from harness.reports.comparison_json import to_json
    from harness.runs import find, last_two, latest

    root = chosen.kpis.resolve().parent
    history = History(folder_of_runs(chosen.kpis))
    if not history.path.exists() and (history.folder / "runs").exists():
        history.rebuild()
    if chosen.base is None:
        base, new = last_two(history)
    else:
        new = find(chosen.new, history, root) if chosen.new else latest(history)
        base = find(chosen.base, history, root, machine=min(new.machines))
    compared = compare(base, new, any_machine=chosen.any_machine)
    if chosen.markdown:
        try:
            write_atomically(chosen.markdown, markdown(compared))
        except OSError as error:
            raise KpiError(f"{chosen.markdown} can't be written: {error.strerror}") from error
    if chosen.json:
        print(json.dumps(to_json(compared), indent=1))
    else:
        console = Console(highlight=False)
        print(terminal(compared, min(100, console.width), colour=console.is_terminal), end="")
    problems = list(_problems(compared, chosen.fail_on))
    for problem in problems:
        print(f"{chosen.fail_on}: {plain(problem)}", file=sys.stderr)
    return 1 if problems else 0


def _problems(compared: Comparison, fail_on: str) -> Iterator[str]:
    """What makes the exit code 1: where nothing was compared, nothing was shown to hold either."""
    if fail_on == "never":
        return
    if not compared.compared:
        yield "no target was compared"
    for row in compared.rows:
        why = row.regressed if fail_on == "regression" else "other than before" if row.differs else ""
        if why:
            yield f"{row.kpi} {row.target['metric']} {row.target['bound']}: {why}"
