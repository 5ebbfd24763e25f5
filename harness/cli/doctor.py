"""Examines this machine: what it has, what is missing, what each missing thing would enable."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Iterator
from pathlib import Path

from harness.build.builder import Builder
from harness.build.environments import Environments
from harness.build.passes import passes
from harness.build.passes.base import Pass
from harness.build.store import Store, folder_size
from harness.core.errors import KpiError, Unavailable, reason
from harness.core.libraries import version_of
from harness.core.units import BYTES
from harness.judge.metrics import metrics
from harness.judge.metrics.base import Metric
from harness.measure.machine.detect import Detected, detect, heat_of, mismatch
from harness.measure.machine.temperature import Warmth
from harness.measure.runtimes import runtimes
from harness.measure.runtimes.base import Runtime
from harness.spec.model import Spec

Rows = list[tuple[str, str]]


def examine(spec: Spec | None, store: Store) -> Iterator[tuple[str, Rows]]:
    """Sections of (name, finding); ``spec`` None leaves out what depends on promises."""
    here, warmth = detect(), Warmth.read()
    yield "machine", [*machine_rows(here), ("temperature", warmth.words)]
    yield "runtimes", list(_runtimes())
    environments = Environments(store, spec.root if spec else Path.cwd())
    yield "passes", list(_passes(environments))
    yield "metrics", list(_metrics())
    yield "environments", _environments(environments)
    yield "store", [(str(store.root), BYTES.format(folder_size(store.root)))]
    if spec is None:
        yield "promises", [("kpis.toml", "not here; name one with --kpis FILE")]
        return
    yield "workloads", list(_workloads(spec, store, environments))
    yield (
        "machines promised for",
        [(name, mismatch(machine, here) or "this machine") for name, machine in spec.machines.items()],
    )
    enabled = list(_enabled(spec, here, environments))
    yield "what would enable more", enabled or [("nothing is missing", "every KPI can be measured here")]


def machine_rows(here: Detected) -> Rows:
    """What a machine is."""
    limit = "none" if here.quota is None else f"{here.quota:g} processors of a container's groups"
    return [
        ("processor", f"{here.cpu}, {here.arch}"),
        ("cores", f"{here.cores} usable, {here.visible_cores} visible; quota: {limit}"),
        ("instructions", " ".join(here.instructions) or "none that matter were found"),
        ("integer arithmetic", f"that of {here.processor_class}"),
        ("governor", here.governor or "not visible (a virtual machine, or not Linux)"),
        ("heat", heat_of(here)),
        ("memory", f"{BYTES.format(here.memory)} usable, {BYTES.format(here.total_memory or here.memory)} visible"),
        ("gpu", ", ".join(here.gpus) or "none"),
        ("npu", ", ".join(here.npus) or "none"),
        ("system", f"{here.os}, Python {here.python}"),
    ]


def _runtimes() -> Iterator[tuple[str, str]]:
    for name, runtime in sorted(runtimes().items()):
        found = [(d, version) for d in runtime.distributions if (version := version_of(d))]
        if not found:
            yield name, f"missing; pip install {runtime.distributions[0]}"
            continue
        said = ", ".join(f"{distribution} {version}" for distribution, version in found)
        yield name, f"{said}; {_reach(runtime)}"


def _reach(runtime: type[Runtime]) -> str:
    """Which devices a runtime sees; asked in this process, which measures nothing."""
    try:
        return runtime.available_devices()
    except Exception as error:  # noqa: BLE001 - a broken installation is a finding, not a failure of the doctor
        return f"does not load: {type(error).__name__}: {reason(error)}"


def _passes(environments: Environments) -> Iterator[tuple[str, str]]:
    for name, cls in sorted(passes().items()):
        remedy = _pass_lacks(cls, environments)
        yield name, f"missing; {remedy}" if remedy else cls.title


def _pass_lacks(cls: type[Pass], environments: Environments) -> str:
    """The command that makes a pass usable; empty when it is."""
    if cls.environment is not None:
        return "" if environments.exists(cls.environment) else f"kpi env create {cls.environment}"
    missing = [d for d in cls.requires if version_of(d) is None]
    return f"pip install {' '.join(missing)}" if missing else ""


def _metrics() -> Iterator[tuple[str, str]]:
    """What metrics are computed with, those alone that need more than the harness."""
    for name, metric in sorted(metrics().items()):
        said, remedy = _metric_needs(metric)
        if said or remedy:
            yield name, f"missing; {remedy}" if remedy else said


@functools.cache
def _metric_needs(metric: type[Metric]) -> tuple[str, str]:
    """What a metric needs that is here, and the command that makes it usable; that one is empty when it is."""
    try:
        return metric.needs(), ""
    except Unavailable as error:
        return "", error.remedy or error.message


def _environments(environments: Environments) -> Rows:
    return [
        (name, "installed" if environments.exists(name) else f"missing; kpi env create {name}")
        for name in sorted(environments.names())
    ]


def _workloads(spec: Spec, store: Store, environments: Environments) -> Iterator[tuple[str, str]]:
    with tempfile.TemporaryDirectory(prefix="kpi-doctor-") as folder:
        builder = Builder(spec, store, environments, Path(folder) / "log", lambda _: None)
        for name, workload in spec.workloads.items():
            try:
                about = builder.describe(workload)["about"]
                yield name, "; ".join(f"{key}: {value}" for key, value in about.items())
            except KpiError as error:
                yield name, f"can't be used: {error}"


def _enabled(spec: Spec, here: Detected, environments: Environments) -> Iterator[tuple[str, str]]:
    """What is missing, with the targets that wait for it."""
    waiting: dict[str, list[str]] = {}
    for kpi in spec.kpis:
        device, recipe = spec.machines[kpi.machine].device, spec.recipe(kpi.workload, kpi.recipe)
        if not here.has(device):
            waiting.setdefault(f"{'an' if device == 'npu' else 'a'} {device}", []).append(kpi.name)
        if recipe.environment and not environments.exists(recipe.environment):
            waiting.setdefault(f"kpi env create {recipe.environment}", []).append(kpi.name)
        elif not recipe.environment and not any(version_of(d) for d in runtimes()[recipe.runtime].distributions):
            waiting.setdefault(f"pip install {runtimes()[recipe.runtime].distributions[0]}", []).append(kpi.name)
        lacks = {_pass_lacks(passes()[step.name], environments) for step in recipe.passes}
        lacks |= {_metric_needs(target.metric)[1] for target in kpi.targets}
        for remedy in sorted(lacks - {""}):
            waiting.setdefault(remedy, []).append(kpi.name)
    for remedy, names in waiting.items():
        yield remedy, f"enables {', '.join(names)}"
