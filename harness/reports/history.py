"""What the runs answered of a KPI, one run after another, each machine by itself; and the runs themselves."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from harness.core.text import plain, span
from harness.core.units import DIMENSIONS
from harness.evidence.history.points import Point, Run
from harness.evidence.ledger import json_number
from harness.evidence.text import when
from harness.judge.verdict import Basis
from harness.reports.terminal import STYLE

_ID = 7
"""So much of a run's id is shown, as of a commit's."""


def by_machine(points: Sequence[Point]) -> Iterator[RenderableType]:
    """A block for each machine, in it a table for each metric, the newest run last."""
    machines: dict[str, list[Point]] = {}
    for point in points:
        machines.setdefault(point.machine, []).append(point)
    for machine, own in machines.items():
        yield Text(f"{plain(own[0].kpi)} on {plain(own[0].machine_name)}", style="bold", overflow="fold").append(
            f"  {machine}", style="dim"
        )
        kinds: dict[tuple[str, str], list[Point]] = {}
        for point in own:
            against = f" ({point.relation} against {point.versus})" if point.versus else ""
            kinds.setdefault((point.metric, against), []).append(point)
        for (metric, against), found in kinds.items():
            title = Text(f"{plain(metric)}{plain(against)}")
            yield Padding(Group(title, Padding(_table(found), (0, 0, 0, 2))), (0, 0, 0, 2))
        yield Text("")


def _table(points: Sequence[Point]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(width=16, no_wrap=True)
    table.add_column(width=8, no_wrap=True)
    table.add_column(width=10, justify="right", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_column(overflow="fold")
    table.add_column(overflow="fold")
    table.add_column(width=_ID, no_wrap=True)
    for point in points:
        show = DIMENSIONS[point.unit]
        known = not math.isnan(point.value)
        exact = point.of == Basis.EXACT or not known
        table.add_row(
            Text(when(point.started), style="dim"),
            Text(_commit(point.commit), style="dim"),
            Text(show.format(point.value) if known else "", style="bold"),
            Text("" if exact else span(point.low, point.high, show), style="dim"),
            Text(plain(point.bound)),
            Text(f"{point.verdict}{'' if point.complete else ' (stopped)'}", style=STYLE[point.verdict]),
            Text(point.run[:_ID], style="dim"),
        )
    return table


def _commit(commit: str) -> str:
    """Seven digits, a star where files differed from the commit."""
    return f"{plain(commit[:7])}{'*' if commit.endswith('-dirty') else ''}"


def runs_table(runs: Sequence[Run], answers: Sequence[Point]) -> Table:
    """Every run with what it answered, the newest last."""
    counts: dict[str, dict[str, int]] = {run.id: {} for run in runs}
    for point in answers:
        own = counts.setdefault(point.run, {})
        own[point.verdict.value] = own.get(point.verdict.value, 0) + 1
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for wide in (_ID, 16, 8, None, None):
        table.add_column(width=wide, no_wrap=wide is not None, overflow="fold")
    for run in runs:
        said = ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts[run.id].items())) or "no answer"
        table.add_row(
            Text(run.id[:_ID]),
            Text(when(run.started), style="dim"),
            Text(_commit(run.commit), style="dim"),
            Text(plain(run.machine_name), style="dim"),
            Text(said if run.complete else f"{said} (stopped)"),
        )
    return table


def points_json(points: Sequence[Point]) -> list[dict[str, Any]]:
    """Plain JSON, numbers in base units as in the evidence."""
    return [
        {**asdict(point), **{name: json_number(getattr(point, name)) for name in ("value", "low", "high")}}
        for point in points
    ]


def runs_json(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Plain JSON."""
    return [{**asdict(run), "evidence": str(run.evidence)} for run in runs]
