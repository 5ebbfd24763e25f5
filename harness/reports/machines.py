"""The same recipes on several machines side by side: figures, ratios, what the work costs on each."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.core.errors import KpiError, Unavailable
from harness.core.text import plain, span
from harness.core.units import FACTOR
from harness.evidence.model import Evidence
from harness.judge.metrics.base import Metric
from harness.reports.figures import Figure, figures


@dataclass(frozen=True, slots=True)
class Seen:
    """One machine: its name for people, USD an hour (None: not known), the evidence of a run on it."""

    name: str
    hourly: float | None
    evidence: Evidence

    @classmethod
    def of(cls, evidence: Evidence, hourly: float | None = None) -> Seen:
        """Named by its processor; priced by the KPI of a priced machine that it is, unless ``hourly`` says it."""
        prices = {k.usd_per_hour for k in evidence.kpis if not k.elsewhere and k.usd_per_hour}
        machine = evidence.machine
        name = f"{plain(machine.cpu)}, {machine.cores} cores"
        return cls(name, hourly or (prices.pop() if len(prices) == 1 else None), evidence)

    def why_no_energy(self) -> str:
        """Why energy counters could not be read; empty when nothing was missing."""
        for measurement in self.evidence.measurements:
            for process in measurement.processes:
                energy = (process.system.get("window") or {}).get("energy")
                if energy:
                    return str(energy["missing"])
        return "nothing was timed"


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of one recipe on each machine, None where it was not measured there."""

    recipe: str
    metric: type[Metric]
    figures: tuple[Figure | None, ...]

    def ratio(self) -> str:
        """The last machine over the first, with the interval that both intervals leave."""
        first, last = self.figures[0], self.figures[-1]
        if first is None or last is None or len(self.figures) < 2 or not first.value:  # noqa: PLR2004 - two machines
            return ""
        said = FACTOR.format(last.value / first.value)
        edges = (first.low, first.high, last.low, last.high)
        if any(edge is None or not math.isfinite(edge) or edge <= 0 for edge in edges):
            return said
        low, high, other_low, other_high = (float(edge or 0) for edge in edges)
        return f"{said} ({span(other_low / high, other_high / low, FACTOR)})"


def compare(machines: Sequence[Seen]) -> list[Row]:
    """Every figure that depends on the machine, of every recipe that was measured on any; KpiError when none was."""
    found: dict[tuple[str, type[Metric]], dict[int, Figure]] = {}
    for place, machine in enumerate(machines):
        for measurement in machine.evidence.measurements:
            for figure in figures(measurement, machine.evidence.settings, machine.hourly):
                if figure.metric.per_process:
                    found.setdefault((measurement.recipe, figure.metric), {})[place] = figure
    if not found:
        raise KpiError("no recipe was timed in this evidence", "run the suite with targets of latency or throughput")
    rows = [
        Row(recipe, metric, tuple(by_place.get(place) for place in range(len(machines))))
        for (recipe, metric), by_place in found.items()
    ]
    return sorted(rows, key=lambda row: (row.recipe, row.metric.name))


def markdown(machines: Sequence[Seen]) -> str:
    """The table, with what is missing below it."""
    both = len(machines) > 1
    head = ["recipe", "", *(machine.name for machine in machines), *(["last / first"] if both else [])]
    lines = [f"| {' | '.join(head)} |", f"|---|---|{'--:|' * (len(head) - 2)}"]
    recipe = ""
    for row in compare(machines):
        cells = [str(figure) if figure else "" for figure in row.figures] + ([row.ratio()] if both else [])
        shown = f"`{plain(row.recipe)}`" if row.recipe != recipe else ""
        lines.append(f"| {shown} | `{row.metric.name}` | {' | '.join(cells)} |")
        recipe = row.recipe
    return "\n".join([*lines, "", *_notes(machines)]) + "\n"


def _notes(machines: Sequence[Seen]) -> Iterator[str]:
    for machine in machines:
        price = f"{machine.hourly:g} USD/h" if machine.hourly else "its price is not known, so nothing is said of costs"
        energy = machine.why_no_energy()
        yield f"- {machine.name}: {price}; energy {f'is missing: {plain(energy)}' if energy else 'was read'}."


def draw(machines: Sequence[Seen], file: Path) -> None:
    """Bars with their intervals, a panel for each metric, as SVG (or whatever the file's ending says).

    Tails, loading and memory are in the table alone. Raises Unavailable without matplotlib.
    """
    try:
        import matplotlib as mpl
    except ImportError:
        raise Unavailable("matplotlib is not installed", 'pip install "kpi-tests[report]"') from None
    mpl.use("Agg")
    mpl.rcParams |= {"svg.hashsalt": "kpi", "svg.fonttype": "none"}  # text stays text
    from matplotlib import pyplot as plt

    rows = compare(machines)
    shown = {m for m in (row.metric for row in rows) if m.drawn}
    names = sorted(shown or {row.metric for row in rows}, key=lambda m: (not m.priced, m.name))
    by_metric = {metric: [row for row in rows if row.metric is metric] for metric in names}
    heights = [0.6 + 0.22 * len(own) * len(machines) for own in by_metric.values()]
    drawing, panels = plt.subplots(
        len(names), 1, figsize=(8, sum(heights) + 0.6), height_ratios=heights, squeeze=False, layout="constrained"
    )
    for panel, (metric, own) in zip(panels[:, 0], by_metric.items(), strict=True):
        factor = 1e3 if metric.dimension.base == "s" else 1.0
        unit = "ms" if metric.dimension.base == "s" else metric.dimension.base
        for place, machine in enumerate(machines):
            at = [y + 0.8 * (place + 0.5) / len(machines) - 0.4 for y in range(len(own))]
            seen = [row.figures[place] for row in own]
            values = [figure.value * factor if figure else 0.0 for figure in seen]
            around = [[_arm(figure, side) * factor for figure in seen] for side in (-1, 1)]
            panel.barh(at, values, 0.8 / len(machines), xerr=around, label=machine.name, error_kw={"elinewidth": 1})
        panel.set_yticks(range(len(own)), [plain(row.recipe) for row in own], fontsize=8)
        panel.invert_yaxis()
        panel.set_title(f"{metric.title} ({unit}, {metric.better} is better)", loc="left", fontsize=9)
        panel.spines[["top", "right"]].set_visible(False)
    drawing.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower left", fontsize=8, frameon=False)
    drawing.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)
    plt.close(drawing)


def _arm(figure: Figure | None, side: int) -> float:
    """How far the interval reaches to one side; 0 where it is not known."""
    edge = None if figure is None else figure.low if side < 0 else figure.high
    if figure is None or edge is None or not math.isfinite(edge):
        return 0.0
    return max(0.0, side * (edge - figure.value))
