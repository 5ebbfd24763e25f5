"""How a long process went: latency over time, with how warm and how fast the machine was meanwhile."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median
from typing import Any

from harness.core.units import TEMPERATURE, TIME, Dimension
from harness.evidence.model import Evidence
from harness.measure.records import Measurement, ProcessRecord, part_lengths
from harness.reports.html import vega
from harness.reports.html.parts import Drawing, Spec, Table, recipe_of, short, source
from harness.reports.html.scale import Axis

_BAND, _GAP, _TALL = 90, 24, 170
_MHZ = Dimension("a clock", "MHz", {"MHz": 1.0}, ("MHz",))
_MACHINE = (("celsius", "temperature", TEMPERATURE, vega.WARN), ("mhz", "clock", _MHZ, vega.REGION))
_UNKNOWN = "not shown by the machine"
Numbered = Sequence[tuple[int, ProcessRecord]]


def long_processes(workload: str, evidence: Evidence) -> Iterator[Drawing]:
    """A figure for each measurement whose processes say how they went, window by window."""
    for measurement in evidence.measurements:
        if recipe_of(measurement)[0] == workload:
            numbered = enumerate(measurement.processes, 1)
            if found := [(n, p) for n, p in numbered if (p.details.get("windows") or {}).get("end_s")]:
                yield _drawing(measurement, found, evidence)


def _drawing(measurement: Measurement, processes: Numbered, evidence: Evidence) -> Drawing:
    recipe = short(recipe_of(measurement)[1], 60)
    ends = [end for _, process in processes for end in process.details["windows"]["end_s"]]
    x = Axis.over("since the first request", TIME, [0.0, *ends], may_log=False).of_long_times()
    y = Axis.over("latency", TIME, [v for name in ("p50_s", "p99_s") for _, v in _points(processes, name)])
    known = [(name, title, of, colour) for name, title, of, colour in _MACHINE if list(_points(processes, name))]
    bands: list[Spec] = [
        {
            "layer": [
                _line(processes, "p99_s", x, y, (_TALL, 0), vega.MUTED, 0.9),
                _line(processes, "p50_s", x, y, (_TALL, 0), vega.ACCENT, 1.6),
            ]
        }
    ]
    top = _TALL + _GAP
    for name, title, dimension, colour in known:
        scale = Axis.over(title, dimension, [value for _, value in _points(processes, name)], may_log=False)
        bands.append(_line(processes, name, x, scale, (top + _BAND, top), colour, 1.6))
        top += _BAND + _GAP
    height = top - _GAP
    rows = tuple((f"process {number}", *_numbers(process)) for number, process in processes)
    missing = [title for name, title, *_ in _MACHINE if name not in [found[0] for found in known]]
    return Drawing(
        name=f"windows-{measurement.id}",
        title=f"From the first minute to the last: {recipe}",
        caption="A line is a process, a point a hundredth of its time: blue the median of its requests, grey their "
        "99th percentile. Shaded: the first and the last part; the last is what is judged."
        + (f" The machine shows no {' and no '.join(missing)}." if missing else ""),
        alt=f"Latency over time of {len(processes)} processes of {recipe} under {measurement.scenario}. "
        + "; ".join(f"{row[0]}: median {row[1]} at first, {row[2]} at last" for row in rows),
        spec=vega.chart([*_parts(processes, x), *bands], height, resolve={"scale": {"y": "independent"}}),
        height=height,
        table=Table(
            ("process", "median at first", "at last", "p99 at first", "at last", "temperature", "clock"), rows
        ),
        sources=(source(measurement, evidence.commit),),
    )  # fmt: skip


def _points(processes: Numbered, name: str) -> Iterator[tuple[dict[str, float], float]]:
    """What the machine showed: the process and the time, then the number."""
    for number, process in processes:
        windows = process.details["windows"]
        for end, value in zip(windows["end_s"], windows[name], strict=True):
            if value is not None:
                yield {"p": number, "t": end}, float(value)


def _line(
    processes: Numbered, name: str, x: Axis, y: Axis, pixels: tuple[int, int], colour: str, width: float
) -> dict[str, Any]:
    """A line for each process, in a band of the figure; ``pixels`` are its lower and its upper edge."""
    values = [{"p": at["p"], "t": x(at["t"]), "v": y(value)} for at, value in _points(processes, name)]
    upward = y.encoding("v", orient="left", tickCount=4, grid=True)
    upward["scale"] = {**upward["scale"], "range": list(pixels)}
    encoding = {"x": x.encoding("t", grid=False), "y": upward, "detail": {"field": "p"}}
    return vega.layer("line", values, encoding, stroke=colour, strokeWidth=width, opacity=0.7, interpolate="linear")


def _parts(processes: Numbered, x: Axis) -> list[dict[str, Any]]:
    """The first and the last part of the time, shaded and named."""
    part, judged = part_lengths([process for _, process in processes])
    end = median(process.details["span_s"] for _, process in processes)
    word = "minute" if part == TIME.units["min"] else "third"
    shown = [{"a": x(0.0), "b": x(part)}, {"a": x(end - judged), "b": x(end)}]
    at = x.encoding("x", grid=False)
    first, last = (
        [{"x": x(0.0), "what": f"first {word}"}],
        [{"x": x(end), "what": f"last {TIME.format(judged) if judged != part else word}"}],
    )
    named = {"x": at, "y": {"value": 8}, "text": {"field": "what"}}
    return [
        vega.layer("rect", shown, {"x": {**at, "field": "a"}, "x2": {"field": "b"}}, fill=vega.MUTED, fillOpacity=0.12),
        vega.layer("text", first, named, align="left", dx=4),
        vega.layer("text", last, named, align="right", dx=-4),
    ]


def _numbers(process: ProcessRecord) -> Iterator[str]:
    windows = process.details["windows"]
    for name in ("p50_s", "p99_s"):
        yield from (TIME.format(windows[name][place]) for place in (0, -1))
    for name, _, dimension, _ in _MACHINE:
        seen = [value for value in windows[name] if value is not None]
        ends = (seen[0], seen[-1]) if seen else ()
        yield " to ".join(dimension.format(value) for value in ends) or _UNKNOWN
