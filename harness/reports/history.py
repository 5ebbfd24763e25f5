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

from harness.core.bounds import Relation
from harness.core.codec import plain as plain_json
from harness.core.numbers import figure
from harness.core.statistics import median
from harness.core.text import plain, span
from harness.core.units import DIMENSIONS
from harness.evidence.history.drift import Shift, second_opinion, series_of, shifts
from harness.evidence.history.points import Point, Run
from harness.evidence.text import when
from harness.judge.metrics import metrics
from harness.judge.verdict import Basis
from harness.reports.terminal import STYLE

_MOVED = "yellow"
_SAME_PLACE = 1
"""So many runs apart two methods may put a change that both mean."""
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
            moved = [Text(moved_text(shift), style=_MOVED) for own in series_of(found) for shift in shifts(own)]
            yield Padding(Group(title, Padding(Group(_table(found), *moved), (0, 0, 0, 2))), (0, 0, 0, 2))
        yield Text("")


def moved_text(shift: Shift) -> str:
    """Since when figures are at another level, which way, and on how many runs that rests."""
    show, change = DIMENSIONS[shift.at.unit], shift.since - shift.before
    known = metrics().get(shift.at.metric)
    worse_is_more = known is not None and known.better == "lower"
    if shift.at.relation in (Relation.DROP, Relation.GAIN):
        worse_is_more = shift.at.relation == Relation.DROP
    way = "moved" if known is None else "worse" if (change > 0) is worse_is_more else "better"
    by = f" ({100 * change / shift.before:+.1f} %)" if shift.before and not shift.at.versus else ""
    return (
        f"{way} since {when(shift.at.started)} ({_commit(shift.at.commit)}): {show.format(shift.before)} before, "
        f"{show.format(shift.since)} since{by}; {shift.runs_before} runs before, {shift.runs_since} since"
    )


def drift_table(points: Sequence[Point]) -> list[RenderableType]:
    """Every place where a target's figures moved, a line each; the runs of each machine by themselves."""
    found = [(own[0], shift, said) for own in series_of(points) for shift, said in _seen_twice(own)]
    lines: list[RenderableType] = []
    for first, shift, said in sorted(found, key=lambda one: one[1].at.started):
        against = f" ({first.relation} against {first.versus})" if first.versus else ""
        lines.append(Text(f"{plain(first.kpi)}  {plain(first.metric)}{plain(against)} on {plain(first.machine_name)}"))
        lines.append(Padding(Text(moved_text(shift) + said, style=_MOVED), (0, 0, 0, 2)))
    return lines or [Text("no figure was shown to have moved")]


def _seen_twice(points: Sequence[Point]) -> Iterator[tuple[Shift, str]]:
    """The shifts of a series, each with where ruptures puts the nearest of as many; nothing where it is not asked."""
    found = shifts(points)
    places = [points.index(point) for point in second_opinion(points, found)]
    for shift in found:
        here = points.index(shift.at)
        near = min(places, key=lambda place: abs(place - here), default=None)
        if near is None:
            yield shift, ""
        elif abs(near - here) <= _SAME_PLACE:
            yield shift, "; ruptures puts it there too"
        else:
            yield shift, f"; ruptures puts it at {when(points[near].started)}"


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
    """Plain JSON, numbers in base units as in the evidence; ``level`` is the median of the runs between two shifts."""
    levels: dict[tuple[str, str, str, str | None], float] = {}
    for own in series_of(points):
        found = shifts(own)
        level = found[0].before if found else median([point.value for point in own])
        for point in own:
            level = next((shift.since for shift in found if shift.at is point), level)
            levels[_name(point)] = level
    return [
        {
            **asdict(point),
            **{name: plain_json(figure(getattr(point, name))) for name in ("value", "low", "high")},
            "level": levels.get(_name(point)),
        }
        for point in points
    ]


def _name(point: Point) -> tuple[str, str, str, str | None]:
    return point.run, f"{point.kpi} {point.metric}", point.relation, point.versus


def runs_json(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Plain JSON."""
    return [{**asdict(run), "evidence": str(run.evidence)} for run in runs]
