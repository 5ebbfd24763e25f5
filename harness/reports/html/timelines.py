"""Memory and processor over time: of each watched process, and of all processes over the run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

from harness.core.text import plain
from harness.core.units import BYTES, COUNT, TIME
from harness.evidence.model import Evidence
from harness.measure.records import Measurement, ProcessRecord
from harness.reports.html import vega
from harness.reports.html.parts import Drawing, Table, recipe_of, short, source
from harness.reports.html.scale import Axis

_POINTS = 80
_HEIGHT = 200
_WORDS = {"steal": "taken by the hypervisor", "others": "used by other programs", "own": "used by the process"}
_COLOURS = {"own": vega.ACCENT, "others": vega.WARN, "steal": "var(--fail)"}


def watched(workload: str, evidence: Evidence) -> Iterator[Drawing]:
    """Memory, then processor time, of every process that left a timeline, a pair of figures a measurement."""
    for measurement in evidence.measurements:
        of, recipe = recipe_of(measurement)
        processes = [
            (place, process)
            for place, process in enumerate(measurement.processes, 1)
            if of == workload and (process.details.get("timeline") or {}).get("points")
        ]
        if processes:
            yield from _pair(short(recipe, 60), measurement, processes, evidence)


def _pair(
    recipe: str,
    measurement: Measurement,
    processes: Sequence[tuple[int, ProcessRecord]],
    evidence: Evidence,
) -> Iterator[Drawing]:
    memory: list[dict[str, Any]] = []
    busy: list[dict[str, Any]] = []
    rows, every = [], 1
    for place, process in processes:
        points = process.details["timeline"]["points"]
        every = max(every, -(-len(points) // _POINTS))
        kept = _thinned(points)
        memory += [{"p": place, "t": now, "v": held} for now, held, _ in kept]
        steps = [(a, b) for a, b in pairwise(kept) if b[0] > a[0]]
        busy += [{"p": place, "t": b[0], "v": (b[2] - a[2]) / (b[0] - a[0])} for a, b in steps]
        last, largest = points[-1], max(held for _, held, _ in points)
        cores = (last[2] - points[0][2]) / (last[0] - points[0][0]) if last[0] > points[0][0] else 0.0
        rows.append((f"process {place}", BYTES.format(largest), f"{cores:.2f}", TIME.format(last[0])))
    marks = [(float(at), plain(what)) for what, at in processes[0][1].details["timeline"].get("marks", {}).items()]
    thinned = f" Of {every} points one is drawn, and the highest always." if every > 1 else ""
    table = Table(("process", "most memory", "processors used on average", "watched for"), tuple(rows))
    for title, values, dimension, unit in (
        ("Memory", memory, BYTES, "resident memory"),
        ("Processors in use", busy, COUNT, "processors"),
    ):
        if not values:
            continue
        y = Axis.over(unit, dimension, [0.0, *(row["v"] for row in values)], may_log=False)
        x = Axis.over("since the process began", TIME, [0.0, *(row["t"] for row in values)], may_log=False)
        drawn = [{**row, "t": x(row["t"]), "v": y(row["v"])} for row in values]
        layers = [
            vega.layer(
                "line", drawn, {"x": x.encoding("t"), "y": y.encoding("v"), "detail": {"field": "p"}},
                stroke=vega.ACCENT, strokeWidth=1.3, opacity=0.65, interpolate="linear",
            )
        ]  # fmt: skip
        if marks:
            shown = [{"t": x(begun), "what": what} for begun, what in marks]
            layers.append(vega.layer("rule", shown, {"x": x.encoding("t")}, stroke=vega.MUTED, strokeDash=[4, 4]))
            layers.append(
                vega.layer(
                    "text", shown, {"x": x.encoding("t"), "y": {"value": 8}, "text": {"field": "what"}},
                    align="left", dx=4,
                )
            )  # fmt: skip
        yield Drawing(
            name=f"timeline-{measurement.id}-{dimension.base}",
            title=f"{title}: {recipe}",
            caption=f"A line is a process under {measurement.scenario}; dashes mark what began.{thinned}",
            alt=f"{title} of {len(processes)} processes of {recipe} over time. "
            + "; ".join(f"{name}: at most {most}, {cores} processors" for name, most, cores, _ in rows),
            spec=vega.chart(layers, _HEIGHT),
            height=_HEIGHT,
            table=table,
            sources=(source(measurement, evidence.commit),),
        )


def _thinned(points: Sequence[Sequence[float]]) -> list[Sequence[float]]:
    """At most about 80 points: of as many neighbours as needed the one with most memory, and the ends."""
    step = -(-len(points) // _POINTS)
    kept: list[Sequence[float]] = [
        max(points[at : at + step], key=lambda point: point[1]) for at in range(0, len(points), step)
    ]
    return [*sorted({tuple(point) for point in (points[0], *kept, points[-1])})]


def over_the_run(evidence: Evidence) -> Iterator[Drawing]:
    """What every process held and what the processors did meanwhile, from the first to the last."""
    found = sorted(
        ((m, place, p) for m in evidence.measurements for place, p in enumerate(m.processes, 1)),
        key=lambda entry: entry[2].started,
    )
    if not found:
        return
    begin = min(datetime.fromisoformat(process.started) for _, _, process in found)

    def since(process: ProcessRecord) -> float:
        return (datetime.fromisoformat(process.started) - begin).total_seconds()

    ends = [since(process) + process.wall_s for _, _, process in found]
    x = Axis.over("since the first process", TIME, [0.0, *ends], may_log=False).of_long_times()
    yield _memory(found, x, since)
    if drawn := _processors(found, x, since):
        yield drawn


Found = Sequence[tuple["Measurement", int, "ProcessRecord"]]


def _who(measurement: Measurement, place: int) -> str:
    return f"{short(measurement.recipe, 60)}, {measurement.scenario}, process {place}"


def _memory(found: Found, x: Axis, since: Any) -> Drawing:
    peaks = [float(process.memory_peak) for _, _, process in found]
    y = Axis.over("peak memory", BYTES, peaks)
    rows = [
        {
            "x": x(since(process)), "y": y(float(process.memory_peak)), "process": _who(measurement, place),
            "d": bool(process.disturbed), "memory": BYTES.format(float(process.memory_peak)),
            "disturbed": plain(process.disturbed) or "no",
        }
        for measurement, place, process in found
    ]  # fmt: skip
    most: dict[str, float] = {}
    for measurement, _, process in found:
        name = f"{short(measurement.recipe, 60)}, {measurement.scenario}"
        most[name] = max(most.get(name, 0.0), float(process.memory_peak))
    layer = vega.layer(
        "point",
        rows,
        {
            "x": x.encoding("x"), "y": y.encoding("y"),
            "fill": {"condition": {"test": "datum.d", "value": vega.WARN}, "value": vega.ACCENT},
            "tooltip": vega.tooltip("process", "memory", "disturbed"),
        },
        filled=True, size=36, opacity=0.75,
    )  # fmt: skip
    table = Table(("recipe and scenario", "most memory"), tuple((n, BYTES.format(v)) for n, v in sorted(most.items())))
    return Drawing(
        name="run-memory",
        title="Memory of every process",
        caption="A dot is a process, where it began and the most memory that it held; amber: disturbed.",
        alt=f"Peak memory of {len(found)} processes, from {BYTES.format(min(peaks))} to {BYTES.format(max(peaks))}.",
        spec=vega.chart([layer], _HEIGHT),
        height=_HEIGHT,
        table=table,
    )


def _processors(found: Found, x: Axis, since: Any) -> Drawing | None:
    """Bars as wide as the process lived: what it used, what others used, what the hypervisor took."""
    rows: list[dict[str, Any]] = []
    numbers = []
    for measurement, place, process in found:
        system, base = process.system, 0.0
        shares = {name: float(system[name]) for name in _WORDS if system.get(name) is not None}
        for name, share in shares.items():
            if share > 0:
                rows.append(
                    {
                        "x": x(since(process)), "x2": x(since(process) + process.wall_s),
                        "y": vega.rounded(100 * base), "y2": vega.rounded(100 * min(1.0, base + share)),
                        "by": name, "process": _who(measurement, place), "share": f"{100 * share:.1f} %",
                        "what": _WORDS[name],
                    }
                )  # fmt: skip
            base += share
        if shares:
            numbers.append((_who(measurement, place), *(f"{100 * shares.get(name, 0.0):.1f} %" for name in _WORDS)))
    if not rows:
        return None
    test = {
        "condition": [{"test": f"datum.by == '{name}'", "value": colour} for name, colour in _COLOURS.items()],
        "value": vega.MUTED,
    }
    axis = {"field": "y", "type": "quantitative", "scale": {"domain": [0, 100]},
            "axis": {"title": "share of the processors (%)", "tickCount": 5}}  # fmt: skip
    layer = vega.layer(
        "rect",
        rows,
        {
            "x": x.encoding("x"), "x2": {"field": "x2"}, "y": axis, "y2": {"field": "y2"}, "fill": test,
            "tooltip": vega.tooltip("process", "what", "share"),
        },
        minWidth=2,
    )  # fmt: skip
    worst = max(float(p.system.get("others") or 0) + float(p.system.get("steal") or 0) for _, _, p in found)
    return Drawing(
        name="run-processors",
        title="What the processors did during every process",
        caption="A bar is a process, as wide as it lived. Blue: its own; amber: other programs; red: the hypervisor. "
        "A quiet machine is blue alone.",
        alt=f"Use of the processors during {len(found)} processes; others and the hypervisor took at most "
        f"{100 * worst:.0f} %.",
        spec=vega.chart([layer], _HEIGHT),
        height=_HEIGHT,
        table=Table(("process", *_WORDS.values()), tuple(numbers)),
    )
