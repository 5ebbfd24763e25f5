"""Every sample of every process: a disturbed process, or one of two minds, is seen at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.core.statistics import percentile
from harness.core.text import plain
from harness.core.units import TIME
from harness.evidence.model import Evidence
from harness.measure.records import Measurement
from harness.reports.html import vega
from harness.reports.html.parts import Drawing, Spec, Table, recipe_of, short, source
from harness.reports.html.scale import Axis
from harness.spec.catalog import scenarios

_CELLS = 72
_ROW, _NAME, _GAP = 11, 1.5, 0.5
_LEAST = 2
_FEW = 3


def spreads(workload: str, evidence: Evidence) -> Iterator[Drawing]:
    """One figure for each scenario that took time, its recipes below each other on one axis."""
    by_scenario: dict[str, list[Measurement]] = {}
    for measurement in evidence.measurements:
        timed = any(len(process.samples_s) >= _LEAST for process in measurement.processes)
        if timed and recipe_of(measurement)[0] == workload:
            by_scenario.setdefault(measurement.scenario, []).append(measurement)
    for scenario, measurements in sorted(by_scenario.items()):
        yield _drawing(scenario, sorted(measurements, key=lambda m: m.recipe), evidence)


def _drawing(scenario: str, measurements: Sequence[Measurement], evidence: Evidence) -> Drawing:
    known = scenarios().get(scenario)
    what = (known.request if known else "") or scenario
    processes = [p for m in measurements for p in m.processes if p.samples_s]
    everything = [sample for process in processes for sample in process.samples_s]
    axis = Axis.over(f"time of {what}", TIME, everything)
    cells: list[dict[str, Any]] = []
    ticks: list[dict[str, Any]] = []
    names: list[dict[str, Any]] = []
    rows: list[tuple[str, ...]] = []
    notes: list[str] = []
    y = 0.0
    for measurement in measurements:
        recipe = recipe_of(measurement)[1]
        names.append({"y": y + _NAME * 0.62, "name": short(recipe, 60)})
        y += _NAME
        for place, process in enumerate(measurement.processes, 1):
            samples = sorted(process.samples_s)
            if not samples:
                continue
            who = f"{short(recipe, 60)}, process {place}"
            why = plain(process.disturbed)
            middle = TIME.format(percentile(samples, 0.5))
            here = {"row": len(ticks), "y": round(y, 2), "y2": round(y + 0.84, 2), "d": bool(why)}
            told = {"process": who, "median": middle, "samples": len(samples), "disturbed": why or "no"}
            ticks.append({"x": axis(percentile(samples, 0.5)), **here, **told})
            cells += [
                {"row": here["row"], "x": axis(low), "x2": axis(high), "n": count}
                for low, high, count in _cells(samples, axis)
            ]
            rows.append(
                (
                    who,
                    str(len(samples)),
                    middle,
                    TIME.format(percentile(samples, 0.05)),
                    TIME.format(percentile(samples, 0.95)),
                    TIME.format(samples[-1]),
                    why or "no",
                )
            )
            if why:
                notes.append(f"Disturbed: {who}: {why}")
            y += 1
        y += _GAP
    height = round(y * _ROW)
    disturbed = len(notes)
    if disturbed > _FEW:
        notes = [*notes[:_FEW], f"{disturbed - _FEW} more were disturbed; the reasons are among the numbers"]
    return Drawing(
        name=f"spread-{scenario}",
        title=f"Time of {what}, process by process",
        caption="A row is a process, a cell is darker the more of its samples lie there, the tick is its median: every "
        "sample is counted, none left out. Rows that differ are processes that differ; two dark places in a row are a "
        f"process of two minds{'; rows in amber were disturbed and do not count' if disturbed else ''}.",
        alt=f"{len(everything)} samples of {len(processes)} processes under {scenario}, {disturbed} of them disturbed: "
        + _words(measurements),
        spec=vega.chart(_layers(cells, ticks, names, axis, y), height),
        height=height,
        table=Table(("process", "samples", "median", "5th percentile", "95th", "slowest", "disturbed"), tuple(rows)),
        sources=tuple(source(m, evidence.commit) for m in measurements),
        notes=tuple(notes),
    )


def _words(measurements: Sequence[Measurement]) -> str:
    said = []
    for measurement in measurements:
        middles = [percentile(p.samples_s, 0.5) for p in measurement.processes if p.samples_s]
        low, high = TIME.format(min(middles)), TIME.format(max(middles))
        said.append(f"{short(recipe_of(measurement)[1], 60)} with medians from {low} to {high}")
    return "; ".join(said)


def _cells(samples: Sequence[float], axis: Axis) -> Iterator[tuple[float, float, int]]:
    """Edges (seconds) and counts of the cells that hold samples; as many cells as the whole axis has room for."""
    counts = Counter(min(_CELLS - 1, max(0, int(_CELLS * axis.along(sample / axis.factor)))) for sample in samples)
    for cell, count in sorted(counts.items()):
        first, last = (axis.factor * axis.back(edge / _CELLS) for edge in (cell, cell + 1))
        yield first, last, count


def _layers(
    cells: Sequence[Mapping[str, Any]],
    ticks: Sequence[Mapping[str, Any]],
    names: Sequence[Mapping[str, Any]],
    axis: Axis,
    rows: float,
) -> list[Spec]:
    x = axis.encoding("x", orient="bottom")
    y = {
        "field": "y", "type": "quantitative", "axis": None,
        "scale": {"domain": [0, round(rows, 2)], "reverse": True, "nice": False},
    }  # fmt: skip
    shown = vega.tooltip("process", "here", "median", "samples", "disturbed")
    fields = ["y", "y2", "d", "process", "median", "samples", "disturbed"]
    edges = {"x": x, "y": y, "x2": {"field": "x2"}, "y2": {"field": "y2"}}
    dark = {"type": "pow", "exponent": 0.5, "domain": [0, 0.35], "range": [0.12, 1], "clamp": True}
    told = [
        {"lookup": "row", "from": {"data": {"values": list(ticks)}, "key": "row", "fields": fields}},
        {"calculate": "datum.n / datum.samples", "as": "share"},
        {"calculate": "datum.n + ' of ' + datum.samples", "as": "here"},
    ]
    return [
        {"transform": told}
        | vega.layer(
            "rect",
            cells,
            {
                **edges,
                "fill": {"condition": {"test": "datum.d", "value": vega.WARN}, "value": vega.ACCENT},
                "fillOpacity": {"field": "share", "type": "quantitative", "scale": dark, "legend": None},
                "tooltip": shown,
            },
        ),
        vega.layer(
            "rule", ticks, {"x": x, "y": y, "y2": {"field": "y2"}}, stroke=vega.INK, strokeWidth=2, tooltip=None
        ),
        vega.layer(
            "text",
            names,
            {"y": y, "x": {"value": 2}, "text": {"field": "name"}},
            align="left",
            baseline="middle",
            fill=vega.INK,
            fontWeight=600,
        ),
    ]
