"""The checks of a candidate, the cheapest first; each goes the gate's own way, and is made once."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from harness.build.store import Store
from harness.core.statistics import median
from harness.gate import Gate
from harness.judge.metrics.base import ProcessMetric
from harness.judge.verdict import Decision, Verdict
from harness.measure.lock import device_lock
from harness.measure.machine.detect import Detected
from harness.measure.scenarios import scenarios
from harness.search.candidates import Candidate
from harness.search.margin import margin
from harness.spec.model import Kpi, Machine, MeasureSettings, Spec, Target

SUBSET = 512
"""Evaluation samples of the first look at accuracy."""
_LOOK = 3
_LOOK_S = 0.25
_SLACK = 0.15


class Level(StrEnum):
    """How much was asked of a check."""

    LOOK = "look"
    VERDICT = "verdict"


@dataclass(frozen=True, slots=True)
class Seen:
    """What a check gave, in base units; ``made`` is false when it was kept from an earlier one."""

    target: str
    level: str
    verdict: str
    value: float
    low: float
    high: float
    n: int
    of: str
    margin: float
    seconds: float
    dropped: bool
    made: bool = True

    def to_json(self) -> dict[str, Any]:
        """Plain JSON: infinities as text."""
        return {
            name: str(v) if isinstance(v, float) and not math.isfinite(v) else v for name, v in asdict(self).items()
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Seen:
        """The inverse of :meth:`to_json`."""
        numbers = {name: float(data[name]) for name in ("value", "low", "high", "margin", "seconds")}
        return cls(**{**data, **numbers})


class Kept(Protocol):
    """Where finished checks are kept, at once."""

    def get(self, key: str) -> dict[str, Any] | None:
        """What was put under the key."""

    def put(self, key: str, seen: dict[str, Any]) -> None:
        """Keeps it; it survives a kill."""


class Checker:
    """Plays the targets of a KPI with one candidate after another: briefly, or up to their verdict."""

    def __init__(
        self,
        spec: Spec,
        kpi: Kpi,
        machine: Detected,
        store: Store,
        folder: Path,
        stopped: list[Path],
        kept: Kept,
        progress: Callable[[str], None],
    ) -> None:
        # What is found here is about this machine, whichever the KPI was written for.
        here = Machine(kpi.machine, spec.machines[kpi.machine].device, price=spec.machines[kpi.machine].price)
        self._spec = replace(spec, machines={**spec.machines, kpi.machine: here})
        self._kpi = kpi
        self._kept = kept
        self._progress = progress
        brief = replace(self._spec, measure=_brief(spec.measure))
        self._gates: dict[Level, Gate] = {}
        for level, seen_under in ((Level.LOOK, brief), (Level.VERDICT, self._spec)):
            (folder / level).mkdir(parents=True, exist_ok=True)
            self._gates[level] = Gate(
                seen_under,
                machine,
                store,
                folder / level,
                progress,
                stopped=[run / level for run in stopped],
                subset=SUBSET if level is Level.LOOK else None,
            )
        # One of them asks the fixture what it is; builds are the same.
        self._gates[Level.LOOK].builder = self._gates[Level.VERDICT].builder

    def described(self) -> dict[str, Any]:
        """The workload's identity; raises what asking raises."""
        workload = self._spec.workloads[self._kpi.workload]
        return self._gates[Level.VERDICT].builder.describe(workload)

    def prepare(self, candidate: Candidate) -> list[Target]:
        """Builds what the targets are about; returns them with the candidate for their recipe.

        A build is as heavy as a measurement: it takes its turn on the processor as well, so that no search builds
        while another one measures.
        """
        targets = [replace(target, recipe=candidate.name) for target in self._kpi.targets]
        spec = self._spec
        workload = spec.workloads[self._kpi.workload]
        workload = replace(workload, recipes={**workload.recipes, candidate.name: candidate.recipe})
        kpi = replace(self._kpi, recipe=candidate.name, targets=tuple(targets))
        spec = replace(spec, workloads={**spec.workloads, workload.name: workload}, kpis=(kpi,))
        for gate in self._gates.values():
            gate.admit(replace(spec, measure=gate.spec.measure))
        builder = self._gates[Level.VERDICT].builder
        with device_lock("cpu", self._progress):
            for recipe in {recipe.key: recipe for target in targets for recipe in spec.recipes_of(target)}.values():
                builder.artifact(recipe)
            builder.samples(workload)
        return targets

    def steps(self, targets: list[Target]) -> tuple[list[tuple[Level, Target]], list[tuple[Level, Target]]]:
        """The looks in their order, then what a verdict takes besides them."""
        looks = [(self._first(target), target) for target in sorted(targets, key=_cost)]
        rest = [(Level.VERDICT, target) for target in sorted(targets, key=_cost)]
        return looks, [step for step in rest if step not in looks]

    def _first(self, target: Target) -> Level:
        """What is exact, or can't be asked of a part of the data, needs no second look."""
        metric = target.metric
        whole = metric.paired_samples and not scenarios()[self._spec.scenario(target)].divisible
        return Level.VERDICT if whole or metric.exact else Level.LOOK

    def check(self, level: Level, target: Target) -> Seen:
        """One target at one level; what was checked before under the same conditions is not measured again."""
        key = self._key(level, target)
        found = self._kept.get(key)
        if found is not None:
            return replace(Seen.from_json(found), target=target.label, made=False)
        finding = self._gates[level].measure(target)
        judgement, disturbed = finding.judgement, ""
        if level is Level.LOOK and not judgement.n:
            judgement, disturbed = self._at_least(target, judgement), finding.disturbed
        made = Seen(
            target.label,
            level,
            judgement.verdict,
            judgement.value,
            judgement.low,
            judgement.high,
            judgement.n,
            judgement.of,
            margin(target, _counted(level, target, judgement)),
            round(finding.seconds, 3),
            self._hopeless(level, target, judgement),
        )
        # What was disturbed all the time is looked at again when the search is started again.
        if not disturbed:
            self._kept.put(key, made.to_json())
        return made

    def _at_least(self, target: Target, judgement: Decision) -> Decision:
        """Where no pair was undisturbed: what the disturbed ones say; a look may be wrong, a verdict may not."""
        metric, gate = target.metric, self._gates[Level.LOOK]
        if not issubclass(metric, ProcessMetric):
            return judgement
        series = []
        for recipe in gate.spec.recipes_of(target)[:2]:
            records = gate.campaign.of(gate.subject(target, recipe, gate.builder.artifact(recipe))).records
            series.append([metric.of(record) for record in records])
        ratios = [a / b for a, b in zip(*series, strict=False) if b] if len(series) > 1 else series[0]
        return replace(judgement, value=median(ratios), n=len(ratios)) if ratios else judgement

    def _key(self, level: Level, target: Target) -> str:
        """The same for the same artifacts, asked the same in the same way on the same machine since it started."""
        gate = self._gates[level]
        identity: list[Any] = [level, target.metric_name, target.bound.text]
        for recipe in gate.spec.recipes_of(target):
            artifact = gate.builder.artifact(recipe)
            identity.append(artifact.digest)
            if not target.metric.of_files:
                subject = gate.subject(target, recipe, artifact)
                identity += [replace(subject, recipe="").id, gate.campaign.conditions_of(subject)]
        if target.metric.per_process:
            identity.append(asdict(gate.spec.measure))
        return hashlib.sha256(json.dumps(identity, sort_keys=True, default=str).encode()).hexdigest()[:32]

    def _hopeless(self, level: Level, target: Target, judgement: Decision) -> bool:
        """Whether the candidate can't win any more: it misses this target, and clearly where little was asked."""
        bound = target.bound
        if level is Level.VERDICT:
            return judgement.verdict is Verdict.FAIL
        if target.metric.paired_samples:
            return not bound.holds(judgement.low if bound.upper else judgement.high)
        return margin(target, judgement.value) < -_SLACK


def _counted(level: Level, target: Target, judgement: Decision) -> float:
    """The figure that a candidate is weighed by.

    A part of the data may be harder than the whole: what it can't exclude counts in the candidate's favour.
    """
    if level is Level.LOOK and target.metric.paired_samples:
        return judgement.low if target.bound.upper else judgement.high
    return judgement.value


def _brief(settings: MeasureSettings) -> MeasureSettings:
    """Three short processes: enough to tell who is far from a bound."""
    return replace(
        settings,
        looks=(_LOOK,),
        drift=0.0,
        seconds=min(_LOOK_S, settings.seconds),
        samples=min(30, settings.samples),
        budget_s=min(60.0, settings.budget_s),
    )


def _cost(target: Target) -> int:
    """Sizes are read, a proof takes a process, accuracy more, times the most."""
    return target.metric.effort


def run_checks(
    checker: Checker, steps: list[tuple[Level, Target]], told: Callable[[Seen], None] = lambda _: None
) -> Iterator[Seen]:
    """Makes the checks in turn, to the first that drops the candidate."""
    for level, target in steps:
        seen = checker.check(level, target)
        told(seen)
        yield seen
        if seen.dropped:
            return
