"""The recipes of a workload side by side, from the evidence of a run: a Markdown table."""

from __future__ import annotations

from collections.abc import Iterator

from harness.core.errors import KpiError, suggest
from harness.evidence.model import Evidence, Settings
from harness.judge.metrics import metrics
from harness.measure.memory_bandwidth import traffic
from harness.measure.records import Measurement
from harness.reports.figures import figures


def side_by_side(workload: str, evidence: Evidence) -> str:
    """One row for each metric, one column for each recipe that was measured; KpiError when none was.

    An interval is that of the verdicts: order statistics over processes, or the bounds of scores over samples.
    """
    columns: dict[str, dict[str, str]] = {}
    for measurement in evidence.measurements:
        name, _, recipe = measurement.recipe.partition("/")
        if name == workload:
            columns.setdefault(recipe, {}).update(_figures(measurement, evidence.settings))
    if not columns:
        known = {m.recipe.partition("/")[0] for m in evidence.measurements}
        raise KpiError(suggest(workload, known, "measured workload"))
    order = dict.fromkeys(sorted(metrics(), key=lambda name: not metrics()[name].of_files))
    # A row that only this page has, such as a prompt length, follows the others.
    order |= dict.fromkeys(name for column in columns.values() for name in column)
    rows = [name for name in order if any(name in column for column in columns.values())]
    lines = [f"| | {' | '.join(columns)} |", f"|---|{'--:|' * len(columns)}"]
    for name in rows:
        cells = " | ".join(column.get(name, "") for column in columns.values())
        lines.append(f"| `{name}` | {cells} |")
    return "\n".join(lines) + "\n"


def _figures(measurement: Measurement, settings: Settings) -> Iterator[tuple[str, str]]:
    """Every metric that the measurement gives, as text with its interval."""
    for metric in metrics().values():
        for kind, value in metric.by_request(measurement).items():
            yield f"{metric.name}, {kind}", metric.dimension.format(value)
    if moved := traffic(measurement.processes):
        yield "memory traffic", f"{moved.bytes_s / 1e9:.1f} GB/s, {100 * moved.share:.0f} % of copying: {moved.bound}"
    for figure in figures(measurement, settings):
        yield figure.metric.name, str(figure)
