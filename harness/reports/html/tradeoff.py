"""Latency against accuracy against size: the recipes of a workload, what a KPI asks, which recipes none other beats."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.core.text import plain
from harness.core.units import ENERGY, TIME
from harness.evidence.model import Evidence, PublishedLine
from harness.judge.metrics import metrics
from harness.judge.metrics.base import Metric, ProofMetric
from harness.judge.metrics.size import Size
from harness.reports.html import vega
from harness.reports.html.parts import Drawing, Source, Spec, Table, recipe_of, short, source
from harness.reports.html.recipes import Recipe, Region, front, recipes, regions
from harness.reports.html.scale import Axis

_HEIGHT = 300
_CIRCLE, _GREW = 230, 700
_TURNS = 3
_NEAR = 0.035


def tradeoffs(workload: str, evidence: Evidence) -> Iterator[Drawing]:
    """Accuracy against latency and against size; latency against size where no accuracy was measured."""
    points = recipes(workload, evidence)
    if not points:
        return
    asked = regions(workload, evidence, points)
    published = [line for line in evidence.published if line.workload == workload]
    fast, right, small = _speed(points), _accuracy(points), metrics()[Size.name]
    sources = tuple(
        source(m, evidence.commit)
        for m in evidence.measurements
        if recipe_of(m)[0] == workload and m.scenario != ProofMetric.scenario
    )
    pairs = [(fast, right), (small, right)] if right else [(fast, small)]
    best = front(points, [m.name for m in (fast, right, small) if m and _has(points, m)])
    for across, up in pairs:
        if across and up:
            seen = [r for r in points if across.name in r.figures and up.name in r.figures]
            if len(seen) > 1 or (seen and up is right):
                yield _drawing(workload, across, up, seen, best, points, asked, published, sources)


def _has(points: Sequence[Recipe], metric: type[Metric]) -> bool:
    return any(metric.name in recipe.figures for recipe in points)


def _speed(points: Sequence[Recipe]) -> type[Metric] | None:
    """The time that most recipes have, else a rate; of several, what charts show."""
    found = [m for m in metrics().values() if m.per_process and _has(points, m)]
    times = [m for m in found if m.dimension is TIME]
    rates = [m for m in found if m.drawn and not m.priced and m.dimension is not ENERGY]

    def rank(metric: type[Metric]) -> tuple[bool, int]:
        return not metric.drawn, -sum(metric.name in recipe.figures for recipe in points)

    return min(times or rates, key=rank, default=None)


def _accuracy(points: Sequence[Recipe]) -> type[Metric] | None:
    """The accuracy that most recipes have, else the likeness to the reference."""
    found = [m for m in metrics().values() if m.paired_samples and _has(points, m)]
    return min(
        found,
        key=lambda m: (m.kind() != "accuracy", -sum(m.name in r.figures for r in points), m.name),
        default=None,
    )


def _drawing(
    workload: str,
    across: type[Metric],
    up: type[Metric],
    seen: Sequence[Recipe],
    best: Sequence[Recipe],
    numbered: Sequence[Recipe],
    asked: Sequence[Region],
    published: Sequence[PublishedLine],
    sources: tuple[Source, ...],
) -> Drawing:
    asked = [region for region in asked if across.name in region.limits or up.name in region.limits]
    limits = [[r.limits[m.name] for r in asked if m.name in r.limits] for m in (across, up)]
    lines = [[v for line in published for v in line.values.get(m.name, ())] for m in (across, up)]
    exact = up.of_files
    x = Axis.over(across.title, across.dimension, _edges(seen, across), limits[0] + lines[0], better=across.better)
    y = Axis.over(up.title, up.dimension, _edges(seen, up), limits[1] + lines[1], better=up.better, may_log=exact)
    ways = {"x": x.encoding("x"), "y": y.encoding("y", upward=True)}
    on_front = [recipe for recipe in seen if recipe in best]
    marks, said = _published(published, (across, x), (up, y), ways)
    number = {recipe.name: place for place, recipe in enumerate(numbered, 1)}
    layers = [
        *_asked(asked, (across, x), (up, y), ways),
        *marks,
        *_line(seen, (across, x), (up, y), ways),
        *_points(seen, on_front, number, (across, x), (up, y), ways),
    ]
    chosen = max(asked, key=lambda r: (len({across.name, up.name} & set(r.limits)), len(r.limits)), default=None)
    params = [{"name": "chosen", "value": plain(chosen.kpi) if chosen else ""}]
    names = ", ".join(short(recipe.name, 40) for recipe in on_front)
    words = "; ".join(
        f"{number[r.name]} {short(r.name, 40)}: {r.figures[across.name]}, {r.figures[up.name]}" for r in seen
    )
    return Drawing(
        name=f"tradeoff-{across.name}-{up.name}",
        title=f"{_upper(up.title)} against {across.title}",
        caption="Up and left is better. "
        * (across.better == "lower")
        + "Filled: speed, accuracy and size are known, and no other recipe is as good in all three and better in one. "
        "Dots: the front of these two axes. The larger, the larger the artifact. Green: what the chosen KPI allows.",
        alt=f"{_upper(up.title)} against {across.title} of {len(seen)} recipes of {short(workload)}. {words}. "
        f"Beaten by none: {names or 'none has every figure'}.",
        spec=vega.chart(layers, _HEIGHT, params=params),
        height=_HEIGHT,
        table=_table(numbered, on_front, number, (across, up)),
        sources=sources,
        notes=tuple(said),
        choices=tuple((plain(r.kpi), _wanted(r, across, up)) for r in asked),
        choose="KPI",
    )


def _edges(seen: Sequence[Recipe], metric: type[Metric]) -> list[float]:
    figures = [recipe.figures[metric.name] for recipe in seen]
    return [edge for f in figures for edge in (f.value, f.low, f.high) if edge is not None]


Way = tuple[type[Metric], Axis]


def _asked(asked: Sequence[Region], across: Way, up: Way, ways: Mapping[str, Any]) -> Iterator[Spec]:
    """The field in which the chosen KPI holds, as far as these two axes say."""
    fields = []
    for region in asked:
        row: dict[str, Any] = {"kpi": plain(region.kpi)}
        for key, (metric, axis) in (("x", across), ("y", up)):
            limit = region.limits.get(metric.name)
            other = axis.low if axis.best == axis.high else axis.high
            row[key], row[f"{key}2"] = axis.best, axis(limit) if limit is not None else other
        fields.append(row)
    chosen = {"transform": [{"filter": "datum.kpi == chosen"}]}
    encoding = {**ways, "x2": {"field": "x2"}, "y2": {"field": "y2"}}
    yield {
        **vega.layer("rect", fields, encoding, fill=vega.REGION, fillOpacity=0.13, stroke=vega.REGION, strokeWidth=1),
        **chosen,
    }


def _line(seen: Sequence[Recipe], across: Way, up: Way, ways: Mapping[str, Any]) -> Iterator[Spec]:
    """The front of these two axes alone, as the step that nothing lies beyond."""
    edge = front(seen, [across[0].name, up[0].name])
    rows = sorted(_place(recipe, across, up).items() for recipe in edge)
    if len(rows) > 1:
        step = "step-after" if across[0].better == "lower" else "step-before"
        yield vega.layer(
            "line",
            sorted((dict(row) for row in rows), key=lambda row: row["x"]),
            {**ways, "order": {"field": "x", "type": "quantitative"}},
            stroke=vega.ACCENT, strokeWidth=1.5, strokeDash=[2, 3], interpolate=step,
        )  # fmt: skip


def _place(recipe: Recipe, across: Way, up: Way) -> dict[str, float]:
    (metric_x, x), (metric_y, y) = across, up
    return {"x": x(recipe.figures[metric_x.name].value), "y": y(recipe.figures[metric_y.name].value)}


def _points(
    seen: Sequence[Recipe],
    best: Sequence[Recipe],
    number: Mapping[str, int],
    across: Way,
    up: Way,
    ways: Mapping[str, Any],
) -> Iterator[Spec]:
    largest = max((recipe.value(Size.name) or 0.0 for recipe in seen), default=0.0) or 1.0
    rows: list[dict[str, Any]] = []
    arms: list[dict[str, float]] = []
    for recipe in seen:
        place = _place(recipe, across, up)
        rows.append(
            {
                **place,
                "number": str(number[recipe.name]),
                "area": _CIRCLE + round(_GREW * (recipe.value(Size.name) or 0.0) / largest),
                "front": recipe in best,
                "recipe": short(recipe.name),
                **{m.title: str(recipe.figures[m.name]) for m in (across[0], up[0])},
                "size": str(recipe.figures[Size.name]) if Size.name in recipe.figures else "not known",
            }
        )
        for key, (metric, axis) in (("x", across), ("y", up)):
            figure = recipe.figures[metric.name]
            if figure.low is not None and figure.high is not None and figure.low < figure.high:
                arms.append({**place, f"{key}2": axis(figure.high), key: axis(figure.low)})
    for key in ("x", "y"):
        own = [arm for arm in arms if f"{key}2" in arm]
        if own:
            yield vega.layer(
                "rule", own, {**ways, f"{key}2": {"field": f"{key}2"}}, stroke=vega.INK, strokeWidth=1.2, opacity=0.7
            )
    shown = vega.tooltip("recipe", across[0].title, up[0].title, *({"size"} - {across[0].title, up[0].title}))
    rows.sort(key=lambda row: (row["front"], -row["area"]))  # a small circle stays visible upon a large one
    yield vega.layer(
        "circle",
        rows,
        {
            **ways,
            "size": {"field": "area", "type": "quantitative", "scale": None},
            "fill": {"condition": {"test": "datum.front", "value": vega.ACCENT}, "value": vega.SURFACE},
            "tooltip": shown,
        },
        stroke=vega.ACCENT, strokeWidth=1.5, opacity=1, fillOpacity=0.92,
    )  # fmt: skip
    for row in rows:
        same = [other for other in rows if _together(row, other, across[1], up[1])]
        row["crowd"] = ", ".join(sorted((other["number"] for other in same), key=int)) if len(same) > 1 else ""
    # Numbers of recipes that lie upon each other would be one blot: they are written together next to it.
    if crowds := {row["crowd"]: row for row in rows if row["crowd"]}:
        numbers = {**ways, "text": {"field": "crowd"}, "tooltip": shown}
        yield vega.layer(
            "text", list(crowds.values()), numbers, fontWeight="bold", fill=vega.INK, align="left", dx=17, dy=-11
        )
    yield vega.layer(
        "text",
        [row for row in rows if not row["crowd"]],
        {
            **ways,
            "text": {"field": "number"},
            "color": {"condition": {"test": "datum.front", "value": vega.SURFACE}, "value": vega.ACCENT},
            "tooltip": shown,
        },
        fontWeight="bold", fontSize=11,
    )  # fmt: skip


def _together(one: Mapping[str, Any], other: Mapping[str, Any], x: Axis, y: Axis) -> bool:
    return abs(x.along(one["x"]) - x.along(other["x"])) < _NEAR and abs(y.along(one["y"]) - y.along(other["y"])) < _NEAR


def _published(
    lines: Sequence[PublishedLine], across: Way, up: Way, ways: Mapping[str, Any]
) -> tuple[list[Spec], list[str]]:
    """Figures of others as marked lines, and what each mark means."""
    specs: list[Spec] = []
    said = []
    rows: list[dict[str, Any]]
    for key, (metric, axis) in (("x", across), ("y", up)):
        rows = []
        for number, line in enumerate(lines, 1):
            values = line.values.get(metric.name)
            if values and axis.shows(float(values[0])):
                words = _said(line, (across[0], up[0]))
                rows.append({key: axis(float(values[0])), "mark": f"P{number}", "published": words})
        own = {key: ways[key], "tooltip": vega.tooltip("published")}
        text = {**own, "text": {"field": "mark"}}
        if rows:
            specs.append(vega.layer("rule", rows, own, stroke=vega.MUTED, strokeDash=[4, 4], strokeWidth=1.2))
        rows.sort(key=lambda row: row[key])
        for turn in range(_TURNS):
            # The names of lines that are close together take turns along them.
            if named := rows[turn::_TURNS]:
                there = {"y": {"value": 8 + 13 * turn}} if key == "x" else {"x": {"value": 4 + 24 * turn}}
                aside = {"dx": 3} if key == "x" else {"dy": -6}
                specs.append(vega.layer("text", named, {**text, **there}, align="left", fontSize=10, **aside))
    for place, line in enumerate(lines, 1):
        if words := _said(line, (across[0], up[0])):
            off = not any(
                line.values.get(m.name) and axis.shows(float(line.values[m.name][0])) for m, axis in (across, up)
            )
            said.append(f"P{place}: {words}{'; beyond the axes' if off else ''}")
    return specs, said


def _said(line: PublishedLine, shown: Sequence[type[Metric]]) -> str:
    """``their recipe on their machine: 8.9 to 9.6 ms (source)``; empty when it has none of the metrics."""
    figures = []
    for metric in shown:
        if values := line.values.get(metric.name):
            low, high = (metric.dimension.format(float(value)) for value in values)
            figures.append(low if low == high else f"{low} to {high}")
    what = f"{short(line.recipe)} on {short(line.machine)}"
    return f"{what}: {', '.join(figures)} ({short(line.source)}, not measured here)" if figures else ""


def _wanted(region: Region, *shown: type[Metric]) -> str:
    wanted = ", ".join(f"{m.name} {region.written[m.name]}" for m in shown if m.name in region.written)
    return f"{short(region.kpi, 50)}: {plain(wanted)}"


def _table(
    points: Sequence[Recipe], best: Sequence[Recipe], number: Mapping[str, int], shown: Sequence[type[Metric]]
) -> Table:
    names = list(dict.fromkeys([*(m.name for m in shown), Size.name]))
    rows = [
        (
            f"{number[recipe.name]} {short(recipe.name)}",
            *(str(recipe.figures[name]) if name in recipe.figures else "not measured" for name in names),
            "yes" if recipe in best else "",
        )
        for recipe in points
    ]
    return Table(("recipe", *(metrics()[name].title for name in names), "beaten by none"), tuple(rows))


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]
