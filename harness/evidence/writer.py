"""What a run says of itself and of its targets, as the evidence holds it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import harness
from harness.core.libraries import version_of
from harness.core.registry import plugin_digests
from harness.core.score_bounds import METHOD
from harness.core.statistics import plan_looks
from harness.evidence.ledger import Ledger
from harness.evidence.model import (
    Evidence,
    KpiLine,
    PublishedLine,
    Settings,
    TargetLine,
    TargetResult,
    WorkloadLine,
)
from harness.judge.case import TAILS
from harness.measure.machine.detect import Detected, mismatch, other_processor
from harness.spec.catalog import passes, runtimes
from harness.spec.model import Kpi, Spec, Target

_UNREACHED = "it was not reached"


def evidence(
    ledger: Ledger, machine: Detected, *, started: datetime, release: bool, complete: bool, resume: bool = False
) -> Evidence:
    """The record of a run but for what was measured."""
    spec = ledger.spec
    targets = [line(spec, target, answer) for target, answer in ledger.lines()]
    return Evidence(
        harness=harness.__version__,
        file=spec.path.name,
        kpis_digest=spec.digest,
        commit=commit(spec.root),
        started=started.isoformat(timespec="milliseconds"),
        written=datetime.now(UTC).isoformat(timespec="milliseconds"),
        release=release,
        complete=complete,
        resume=resume,
        machine=machine,
        processor_class=machine.processor_class,
        libraries=_libraries(),
        plugins=plugin_digests(),
        settings=_settings(spec),
        kpis=tuple(_kpi_line(spec, kpi, machine) for kpi in spec.kpis),
        workloads=tuple(
            WorkloadLine(name=w.name, task=w.task, fixture=w.fixture, reference=w.reference, licence=w.licence)
            for w in spec.workloads.values()
        ),
        published=tuple(
            PublishedLine(workload=w.name, source=p.source, recipe=p.recipe, machine=p.machine, values=p.values)
            for w in spec.workloads.values()
            for p in w.published
        ),
        verdicts=counts(targets),
        targets=targets,
    )


def _settings(spec: Spec) -> Settings:
    measure = spec.measure
    looks = plan_looks(measure.looks, measure.confidence, measure.drift)
    return Settings(
        confidence=measure.confidence,
        looks=measure.looks,
        against=tuple(look.against for look in looks),
        margin=tuple(look.margin for look in looks),
        drift=measure.drift,
        pair_drift=measure.drift,
        seconds=measure.seconds,
        samples=measure.samples,
        budget_s=measure.budget_s,
        attempts=measure.attempts,
        scores=METHOD,
        tails=TAILS,
    )


def _kpi_line(spec: Spec, kpi: Kpi, machine: Detected) -> KpiLine:
    wanted = spec.machines[kpi.machine]
    return KpiLine(
        name=kpi.name,
        description=kpi.description,
        workload=kpi.workload,
        recipe=kpi.recipe,
        machine=kpi.machine,
        device=wanted.device,
        elsewhere=_UNREACHED if wanted.reach else mismatch(wanted, machine),
        other_processor="" if wanted.reach else other_processor(wanted, machine),
        usd_per_hour=wanted.price.usd_per_hour if wanted.price else None,
        against=kpi.against,
        first_release=kpi.first_release,
    )


def line(spec: Spec, target: Target, answer: TargetResult) -> TargetLine:
    """One target with its answer, as the evidence holds it."""
    metric, bound, wanted = target.metric, target.bound, spec.machines[target.machine]
    return TargetLine(
        **answer.parts,
        id=target.id,
        kpi=target.kpi,
        workload=target.workload,
        recipe=target.recipe,
        machine=target.machine,
        device=wanted.device,
        metric=target.metric_name,
        scenario=spec.scenario(target),
        bound=bound.text,
        op=bound.op,
        limit=bound.limit,
        relation=bound.relation.value,
        versus=bound.versus,
        unit=target.shown_in.base,
        better=metric.better,
        ends=getattr(metric, "ends", None) or metric.range,
        paired=getattr(metric, "paired", False),
        jackknife=getattr(metric, "jackknife", False),
        usd_per_hour=wanted.price.usd_per_hour if wanted.price else None,
    )


def counts(targets: Iterable[TargetResult]) -> dict[str, int]:
    """How many targets ended with which verdict."""
    found = Counter(target.verdict for target in targets)
    return {verdict.value: count for verdict, count in sorted(found.items())}


@cache
def commit(root: Path) -> str:
    """The git commit that ``kpis.toml`` is in, "-dirty" where files differ from it; empty outside a repository.

    An image holds no repository: there it is what ``KPI_COMMIT`` says, which the image's build has set.
    """
    told = os.environ.get("KPI_COMMIT", "")
    git = shutil.which("git")
    if git is None:
        return told
    command = [git, "-C", str(root.resolve()), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    return done.stdout.strip() if done.returncode == 0 else told


def _libraries() -> dict[str, str]:
    """The versions of what passes and runtimes need, and of what computes figures."""
    named = {name for cls in runtimes().values() for name in cls.distributions}
    named |= {name for cls in passes().values() for name in cls.requires}
    found = {name: version_of(name) for name in sorted(named | {"hypothesis", "numpy", "scipy"})}
    return {name: version for name, version in found.items() if version is not None}
