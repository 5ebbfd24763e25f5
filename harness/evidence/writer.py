"""The evidence of a run: one JSON file from which a stranger's program can recompute every verdict."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import harness
from harness.core.registry import plugin_digests
from harness.core.score_bounds import METHOD
from harness.core.statistics import plan_looks
from harness.evidence.ledger import Ledger, TargetResult, json_number
from harness.judge.case import TAILS
from harness.measure.machine.detect import Detected, mismatch, other_processor
from harness.spec.model import Spec, Target

SCHEMA = 1
PUBLISHED = (
    "evidence.json",
    "summary.md",
    "report.html",
    "badge.svg",
    "badge.json",
    "gl-code-quality-report.json",
)
"""What ``.kpi/latest`` shows of a run, next to its ``results/``."""
_LIBRARIES = (
    "hypothesis",
    "nncf",
    "numpy",
    "onnx",
    "onnxruntime",
    "onnxruntime-gpu",
    "onnxruntime-openvino",
    "openvino",
    "scipy",
    "torch",
    "torchvision",
)


def publish(folder: Path, out: Path) -> None:
    """Makes ``out`` (``.kpi/latest``) show the run in ``folder``."""
    if folder == out:
        return
    fresh = Path(tempfile.mkdtemp(prefix=".latest-", dir=out.parent))
    for name in PUBLISHED:
        if (folder / name).exists():
            shutil.copy2(folder / name, fresh / name)
    if (folder / "results").exists():
        shutil.copytree(folder / "results", fresh / "results")
    if out.is_symlink() or out.is_file():
        out.unlink()
    elif out.exists():
        shutil.rmtree(out)
    fresh.rename(out)
    out.chmod(0o755)


def evidence(
    ledger: Ledger,
    machine: Detected,
    measurements: Iterable[Mapping[str, Any]],
    *,
    started: datetime,
    release: bool,
    complete: bool,
    resume: bool = False,
) -> dict[str, Any]:
    """The whole record as plain JSON."""
    spec = ledger.spec
    settings = asdict(spec.measure)
    looks = plan_looks(spec.measure.looks, spec.measure.confidence, spec.measure.drift)
    settings["against"] = [look.against for look in looks]
    settings["margin"] = [look.margin for look in looks]
    settings["pair_drift"] = spec.measure.drift
    settings["scores"] = METHOD
    settings["tails"] = TAILS
    return {
        "schema": SCHEMA,
        "harness": harness.__version__,
        "file": spec.path.name,
        "promises": spec.digest,
        "commit": commit(spec.root),
        "started": started.isoformat(timespec="milliseconds"),
        "written": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "release": release,
        "complete": complete,
        "resume": resume,
        "machine": machine.to_json(),
        "libraries": _libraries(),
        "plugins": plugin_digests(),
        "settings": settings,
        "kpis": [
            {
                "name": kpi.name,
                "description": kpi.description,
                "workload": kpi.workload,
                "recipe": kpi.recipe,
                "machine": kpi.machine,
                "device": spec.machines[kpi.machine].device,
                "elsewhere": mismatch(spec.machines[kpi.machine], machine),
                "other_processor": other_processor(spec.machines[kpi.machine], machine),
                "usd_per_hour": price.usd_per_hour if (price := spec.machines[kpi.machine].price) else None,
                "against": kpi.against,
            }
            for kpi in spec.kpis
        ],
        "workloads": [
            {"name": w.name, "task": w.task, "fixture": w.fixture, "reference": w.reference, "licence": w.licence}
            for w in spec.workloads.values()
        ],
        "published": [
            {"workload": workload.name, **asdict(line)}
            for workload in spec.workloads.values()
            for line in workload.published
        ],
        "verdicts": {verdict.value: count for verdict, count in sorted(ledger.counts().items())},
        "targets": [line(spec, target, answer) for target, answer in ledger.lines()],
        "measurements": list(measurements),
    }


def line(spec: Spec, target: Target, answer: TargetResult) -> dict[str, Any]:
    """One target with its answer, as the evidence holds it."""
    return {
        "id": target.id,
        "kpi": target.kpi,
        "workload": target.workload,
        "recipe": target.recipe,
        "machine": target.machine,
        "device": spec.machines[target.machine].device,
        "metric": target.metric_name,
        "scenario": spec.scenario(target),
        "bound": target.bound.text,
        "op": target.bound.op,
        "limit": target.bound.limit,
        "relation": target.bound.relation.value,
        "versus": target.bound.versus,
        "unit": target.shown_in.base,
        "better": target.metric.better,
        "ends": [json_number(end) for end in getattr(target.metric, "ends", None) or target.metric.range],
        "paired": getattr(target.metric, "paired", False),
        "usd_per_hour": price.usd_per_hour if (price := spec.machines[target.machine].price) else None,
        **answer.to_json(),
    }


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
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
