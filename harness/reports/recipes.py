"""The recipes of a workload side by side, from the evidence of a run: a Markdown table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.errors import KpiError, suggest
from harness.measure.records import ProcessRecord
from harness.measure.traffic import traffic
from harness.metrics import metrics
from harness.metrics.base import Metric, PricedMetric, ProcessMetric, ProofMetric, SampleMetric
from harness.reports.text import span
from harness.statistics import bootstrap_mean, median, median_bounds, plan_looks
from harness.tasks import INSTEAD, LANGUAGE
from harness.units import BYTES, TIME


def side_by_side(workload: str, evidence: Mapping[str, Any]) -> str:
    """One row for each metric, one column for each recipe that was measured; KpiError when none was.

    An interval is that of the verdicts: order statistics over processes, or the bootstrap over answers or images.
    """
    columns: dict[str, dict[str, str]] = {}
    for measurement in evidence["measurements"]:
        name, _, recipe = measurement["recipe"].partition("/")
        if name == workload:
            columns.setdefault(recipe, {}).update(_figures(measurement, evidence["settings"]))
    if not columns:
        known = {m["recipe"].partition("/")[0] for m in evidence["measurements"]}
        raise KpiError(suggest(workload, known, "measured workload"))
    order = dict.fromkeys(["size", *metrics()])
    # A row that only this page has, such as a prompt length, follows the others.
    order |= dict.fromkeys(name for figures in columns.values() for name in figures)
    rows = [name for name in order if any(name in figures for figures in columns.values())]
    lines = [f"| | {' | '.join(columns)} |", f"|---|{'--:|' * len(columns)}"]
    for name in rows:
        cells = " | ".join(figures.get(name, "") for figures in columns.values())
        lines.append(f"| `{name}` | {cells} |")
    return "\n".join(lines) + "\n"


def _figures(measurement: Mapping[str, Any], settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Every metric that the measurement gives, as text with its interval."""
    confidence = float(settings["confidence"])
    yield "size", BYTES.format(float(measurement["artifact_bytes"]))
    records = [ProcessRecord.from_json(process) for process in measurement["processes"]]
    yield from _buckets(records)
    if moved := traffic(records):
        yield "memory traffic", f"{moved.bytes_s / 1e9:.1f} GB/s, {100 * moved.share:.0f} % of copying: {moved.bound}"
    for name, metric in metrics().items():
        show = metric.dimension.format
        if issubclass(metric, SampleMetric):
            if scores := measurement["scores"].get(name):
                low, high = bootstrap_mean(scores, confidence)
                yield name, f"{show(sum(scores) / len(scores))} ({span(low, high, metric.dimension)})"
        elif not records or not _played(metric, measurement["scenario"]) or issubclass(metric, PricedMetric):
            continue  # what it costs depends on the machine that a KPI names
        elif issubclass(metric, ProofMetric):
            yield name, show(metric.of(records[0]))
        elif issubclass(metric, ProcessMetric):
            values = [metric.of(record) for record in records]
            looks = plan_looks(tuple(settings["looks"]), confidence)
            look = max(
                (look for look in looks if look.processes <= len(values)), key=lambda k: k.processes, default=None
            )
            if look is None:
                yield name, show(median(values))
            else:
                low, high = median_bounds(values[: look.processes], look.against)
                yield name, f"{show(median(values))} ({span(low, high, metric.dimension)})"


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


def _played(metric: type[Metric], scenario: str) -> bool:
    """Whether the metric can be read from a measurement under the scenario."""
    for_language = metric.tasks is None or metric.tasks & LANGUAGE
    return metric.scenario == scenario or bool(for_language and INSTEAD.get(metric.scenario or "") == scenario)
