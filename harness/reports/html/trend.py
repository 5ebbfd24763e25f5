"""How a target's value moved from run to run, machines kept apart."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from harness.core.text import plain
from harness.core.units import DIMENSIONS
from harness.evidence.history.points import Point
from harness.reports.html import vega
from harness.reports.html.parts import Drawing, Table, short

_MOST = 5000
_HEIGHT = 260
_DAYS = 5
_SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down")


def trends(rows: Sequence[Point]) -> Iterator[Drawing]:
    """One figure over all targets that two runs or more have measured; the reader chooses which is shown."""
    by_target: dict[tuple[str, ...], list[Point]] = {}
    for row in sorted(rows, key=lambda row: row.started):
        if math.isfinite(row.value) and row.unit in DIMENSIONS:
            # A bound that was moved leaves the target what it is.
            by_target.setdefault((row.kpi, row.metric, row.relation, row.versus or ""), []).append(row)
    moving = {key: own for key, own in by_target.items() if len({row.run for row in own}) > 1}
    if not moving:
        return
    each = max(2, _MOST // len(moving))
    left_out = any(len(own) > each for own in moving.values())
    names = _names(row for own in moving.values() for row in own)
    values: list[dict[str, Any]] = []
    table, choices = [], []
    for place, (key, own) in enumerate(moving.items()):
        kept = own[-each:]
        dimension = DIMENSIONS[kept[-1].unit]
        scale = max(abs(row.value) for row in kept)
        unit = next((u for u in dimension.shown if scale >= dimension.units[u]), dimension.shown[-1])
        values += [
            {
                "k": place, "t": row.started[:19] + "Z", "v": vega.rounded(row.value / dimension.units[unit]),
                "m": names[row.machine], "verdict": plain(row.verdict), "run": plain(row.run),
                **_interval(row, dimension.units[unit]),
            }
            for row in kept
        ]  # fmt: skip
        name = f"{short(key[0], 60)}: {plain(key[1])} {short(own[-1].bound, 40)}"
        choices.append((str(place), f"{name} ({unit})" if unit else name))
        for machine in dict.fromkeys(row.machine for row in kept):
            here = [row for row in kept if row.machine == machine]
            first, last = dimension.format(here[0].value), dimension.format(here[-1].value)
            table.append((name, names[machine], str(len(here)), first, last, plain(here[-1].verdict)))
    notes = (f"Of each target the newest {each} values are drawn.",) if left_out else ()
    yield Drawing(
        name="trend",
        title="From run to run",
        caption="Choose a target. A line is a machine: figures of different machines are never joined. Bars are the "
        "intervals that the verdicts used; a hollow mark did not pass.",
        alt=f"{len(values)} values of {len(moving)} targets on {len(names)} machines; the numbers are below.",
        spec=vega.chart(_layers(values, list(names.values())), _HEIGHT, params=[{"name": "chosen", "value": "0"}]),
        height=_HEIGHT,
        table=Table(("target", "machine", "runs", "first", "latest", "verdict"), tuple(table)),
        notes=notes,
        choices=tuple(choices),
        choose="Target",
        wide=True,
    )


def _names(rows: Iterable[Point]) -> dict[str, str]:
    """The words for each machine; those of two machines with one name get a part of their identities."""
    said = {row.machine: short(row.machine_name, 32) for row in rows}
    twice = {name for name, count in Counter(said.values()).items() if count > 1}
    return {machine: f"{name} ({plain(machine)[-6:]})" if name in twice else name for machine, name in said.items()}


def _interval(row: Point, factor: float) -> dict[str, float]:
    if math.isfinite(row.low) and math.isfinite(row.high):
        return {"l": vega.rounded(row.low / factor), "h": vega.rounded(row.high / factor)}
    return {}


def _layers(values: Sequence[dict[str, Any]], machines: Sequence[str]) -> list[dict[str, Any]]:
    # One clock for all, the one that the head of the page and file names use.
    days = {row["t"][:10] for row in values}
    clock = {"title": "UTC", "tickCount": 5, "format": "%Y-%m-%d" if len(days) > _DAYS else "%d %b %H:%M"}
    x = {"field": "t", "type": "temporal", "scale": {"type": "utc"}, "axis": clock}
    y = {"field": "v", "type": "quantitative", "scale": {"zero": False}, "axis": {"title": None, "tickCount": 5}}
    order = [f"var(--series-{place % 6})" for place in range(len(machines))]
    colour = {
        "field": "m", "type": "nominal", "scale": {"domain": list(machines), "range": order},
        "legend": {"title": None, "columns": 1, "labelLimit": 300},
    }  # fmt: skip
    shape = {
        "field": "m", "type": "nominal",
        "scale": {"domain": list(machines), "range": [_SHAPES[place % 6] for place in range(len(machines))]},
    }  # fmt: skip
    chosen = {"filter": "datum.k == chosen"}
    known = {"filter": "isValid(datum.l)"}
    shown = [
        {"field": "t", "timeUnit": "utcyearmonthdatehoursminutes", "title": "started, UTC", "format": "%Y-%m-%d %H:%M"},
        {"field": "v", "title": "value"}, {"field": "m", "title": "machine"},
        {"field": "verdict"}, {"field": "run"},
    ]  # fmt: skip
    named = {"name": "runs", "values": list(values)}
    return [
        {
            "data": named, "transform": [chosen, known], "mark": {"type": "rule", "opacity": 0.45, "strokeWidth": 2},
            "encoding": {"x": x, "y": {**y, "field": "l"}, "y2": {"field": "h"}, "color": colour},
        },
        {
            "data": {"name": "runs"}, "transform": [chosen], "mark": {"type": "line", "strokeWidth": 1.5},
            "encoding": {"x": x, "y": y, "color": colour},
        },
        {
            "data": {"name": "runs"}, "transform": [chosen], "mark": {"type": "point", "size": 55, "opacity": 1},
            "encoding": {
                "x": x, "y": y, "stroke": colour, "shape": shape, "tooltip": shown,
                "fill": {"condition": {"test": "datum.verdict != 'PASS'", "value": vega.SURFACE}, **colour},
            },
        },
    ]  # fmt: skip
