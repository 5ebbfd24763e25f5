"""The recipes of a workload side by side, from the evidence of a run: a Markdown table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.core.errors import KpiError, suggest
from harness.core.statistics import median
from harness.core.units import BYTES, TIME
from harness.evidence.model import Evidence, Settings
from harness.judge.metrics import metrics
from harness.measure.memory_bandwidth import traffic
from harness.measure.records import Measurement, ProcessRecord
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
    order = dict.fromkeys(["size", *metrics()])
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
    yield "size", BYTES.format(float(measurement.artifact_bytes))
    records = measurement.processes
    yield from _buckets(records)
    if moved := traffic(records):
        yield "memory traffic", f"{moved.bytes_s / 1e9:.1f} GB/s, {100 * moved.share:.0f} % of copying: {moved.bound}"
    for figure in figures(measurement, settings):
        yield figure.metric.name, str(figure)


def _buckets(records: Sequence[ProcessRecord]) -> Iterator[tuple[str, str]]:
    """Time to first token and per token by the length of the prompt: the median process's own median."""
    lengths = sorted({words for record in records for words in record.series.get("words", ())})
    for name in ("ttft", "tpot") if len(lengths) > 1 else ():
        for length in lengths:
            of_length = [
                [t for t, w in zip(r.series[f"{name}_s"], r.series["words"], strict=True) if w == length]
                for r in records
            ]
            values = [median(times) for times in of_length if times]
            yield f"{name}, {length:.0f} words", TIME.format(median(values))
