"""A figure on one machine over the same on another, from processes that were measured on each."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.core.bounds import Bound
from harness.core.statistics import median, median_bounds
from harness.judge.verdict import Basis, Decision, Verdict
from harness.measure.records import Measurement, ProcessRecord

if TYPE_CHECKING:
    from harness.evidence.model import Evidence, KpiLine, TargetLine
    from harness.judge.metrics.priced import MachineRatioMetric, PricedMetric


@dataclass(frozen=True, slots=True)
class Side:
    """One machine's processes: what each says, in the order in which they ran, and whether it was disturbed."""

    values: Sequence[float]
    disturbed: Sequence[bool]

    @property
    def clean(self) -> list[float]:
        """Those that were not disturbed."""
        return [value for value, spoilt in zip(self.values, self.disturbed, strict=True) if not spoilt]

    @classmethod
    def of(cls, metric: type[PricedMetric], records: Sequence[ProcessRecord], hourly: float) -> Side:
        """What the processes cost at a price of an hour."""
        return cls([hourly * metric.of(r) for r in records], [bool(r.disturbed) for r in records])


def processes_needed(confidence: float) -> tuple[int, int]:
    """How many processes each machine gives, and how many of them may be on the wrong side of its median's bound.

    A fixed number: there is no look in between. Both medians must be known, so each gets half of the error; the
    number is the smallest that bears one exception. Formula: (n + 1) / 2^n <= (1 - confidence) / 2.
    """
    n = 2
    while (n + 1) / 2**n > (1 - confidence) / 2:
        n += 1
    return n, 1


def judge_machines(bound: Bound, own: Side, other: Side, confidence: float) -> Decision:
    """The ratio of two medians, each known from its own machine.

    A disturbance only slows. On the way to PASS nothing of the promised machine is thrown away, and nothing disturbed
    of the other counts, which would make it look worse; on the way to FAIL it is the other way round.
    """
    n, against = processes_needed(confidence)

    def bounds(values: Sequence[float]) -> tuple[float, float]:
        return median_bounds(values[:n], against) if len(values) >= n else (-math.inf, math.inf)

    low = _ratio(bounds(own.clean)[0], bounds(other.values)[1], -math.inf)
    high = _ratio(bounds(own.values)[1], bounds(other.clean)[0], math.inf)
    value = median(own.values[:n]) / median(other.values[:n]) if own.values and other.values else math.nan
    verdict = Verdict.INCONCLUSIVE
    if math.isfinite(high) and bound.holds(high):
        verdict = Verdict.PASS
    elif math.isfinite(low) and not bound.holds(low):
        verdict = Verdict.FAIL
    return Decision(verdict, value, low, high, min(len(own.values), len(other.values), n), Basis.PROCESSES, confidence)


def _ratio(a: float, b: float, unknown: float) -> float:
    return a / b if math.isfinite(a) and math.isfinite(b) and b > 0 else unknown


def side_in(evidence: Evidence, kpi: str, scenario: str | None, metric: type[PricedMetric]) -> Side | None:
    """What a KPI's processes cost in the evidence of a run; None unless it ran on the KPI's machine."""
    found = evidence.by_kpi.get(kpi)
    if found is None or found.elsewhere:
        return None
    return _side(found, evidence.measurements, scenario, metric)


def sides_in(target: TargetLine, evidence: Evidence, metric: type[MachineRatioMetric]) -> tuple[Side, Side] | None:
    """The two machines' processes that a target of the evidence is about; None where one of them is missing."""
    names = (target.kpi, evidence.by_kpi[target.kpi].against or "")
    found = [
        _side(evidence.by_kpi[name], _of_file(evidence, file), target.scenario, metric.figure)
        if file
        else side_in(evidence, name, target.scenario, metric.figure)
        for name, file in zip(names, _files(target, evidence), strict=True)
    ]
    if found[0] is None or found[1] is None:
        return None
    return found[0], found[1]


def _files(target: TargetLine, evidence: Evidence) -> tuple[str, str]:
    """Of merged evidence, the files that the two machines' processes came from."""
    machines = evidence.machines
    if machines is None:
        return "", ""
    pairs = ((a, b) for a in machines for b in machines)
    return next(((a, b) for a, b in pairs if target.file == (a if a == b else f"{a} over {b}")), ("", ""))


def _of_file(evidence: Evidence, file: str) -> Iterator[Measurement]:
    """Of merged evidence, the measurements that came from one file."""
    return (m for m in evidence.measurements if m.id.startswith(f"{file}:"))


def _side(
    kpi: KpiLine, measurements: Iterable[Measurement], scenario: str | None, metric: type[PricedMetric]
) -> Side | None:
    """What a KPI's processes cost among measurements; those on its own device come first."""
    recipe = f"{kpi.workload}/{kpi.recipe}"
    measured = [m for m in measurements if m.recipe == recipe and m.scenario == scenario]
    measured.sort(key=lambda m: m.device != kpi.device)
    if not measured or not kpi.usd_per_hour:
        return None
    return Side.of(metric, measured[0].processes, kpi.usd_per_hour)
