"""The evidence of a run: one JSON file from which a stranger's program can recompute every verdict."""

from __future__ import annotations

import hashlib
import json
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
from harness.ledger import Answer, Ledger, json_number
from harness.machine import Detected, mismatch, other_processor
from harness.measure.resume import stopped_runs
from harness.score_bounds import METHOD
from harness.spec import Spec, Target
from harness.statistics import plan_looks

SCHEMA = 1
PUBLISHED = (
    "evidence.json",
    "summary.md",
    "report.html",
    "badge.svg",
    "badge.json",
    "gl-code-quality-report.json",
)
"""What ``.kpi/latest`` shows of a run, beside its ``results/``."""
_ASIDE = ".stopped-"
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


def run_folder(out: Path, started: datetime, *, resume: bool = False) -> tuple[Path, list[Path]]:
    """Makes the folder of a run: ``.kpi/runs/<start time>`` beside the default ``.kpi/latest``, else ``out`` itself.

    Also returns the folders of earlier runs that were stopped, newest first, where the user wants to ``resume``.
    """
    stamp = started.strftime("%Y-%m-%dT%H-%M-%S.%fZ")
    if out.name == "latest":
        runs = out.parent / "runs"
        earlier = sorted(runs.iterdir()) if resume and runs.exists() else []
        folder = runs / stamp
    else:
        folder = out
        # A folder named twice must not lend one run the measurements of another, unless that is wanted.
        if resume and (out / "measurements").exists():
            aside = out / f"{_ASIDE}{stamp}"
            aside.mkdir()
            for name in ("measurements", "outputs", "evidence.json"):
                if (out / name).exists():
                    (out / name).rename(aside / name)
        elif not resume:
            clear_aside(out)
            shutil.rmtree(out / "measurements", ignore_errors=True)
        earlier = sorted(out.glob(f"{_ASIDE}*"))
    (folder / "measurements").mkdir(parents=True, exist_ok=True)
    return folder, stopped_runs(earlier)


def clear_aside(out: Path) -> None:
    """Forgets stopped runs that were set aside in a folder whose run came to its end."""
    for folder in out.glob(f"{_ASIDE}*"):
        shutil.rmtree(folder)


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


def write_atomically(path: Path, text: str) -> None:
    """Replaces a file in one step: a reader, or a kill, finds the old content or the new, never half."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_measurement(folder: Path, measurement: Mapping[str, Any]) -> None:
    """Keeps one measurement as soon as it is there, under its own id."""
    write_atomically(folder / "measurements" / f"{measurement['id']}.json", json.dumps(measurement))


def read_measurements(folder: Path) -> Iterable[dict[str, Any]]:
    """Every measurement kept so far, in a stable order."""
    for path in sorted((folder / "measurements").glob("*.json")):
        yield json.loads(path.read_text(encoding="utf-8"))


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
    return {
        "schema": SCHEMA,
        "harness": harness.__version__,
        "file": spec.path.name,
        "promises": hashlib.sha256(spec.path.read_bytes()).hexdigest(),
        "commit": commit(spec.root),
        "started": started.isoformat(timespec="milliseconds"),
        "written": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "release": release,
        "complete": complete,
        "resume": resume,
        "machine": machine.to_json(),
        "libraries": _libraries(),
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


def line(spec: Spec, target: Target, answer: Answer) -> dict[str, Any]:
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
        "bound": target.promise.text,
        "op": target.promise.op,
        "limit": target.promise.limit,
        "relation": target.promise.relation.value,
        "versus": target.promise.versus,
        "unit": target.shown_in.base,
        "better": target.metric.better,
        "ends": [json_number(end) for end in getattr(target.metric, "ends", None) or target.metric.range],
        "paired": getattr(target.metric, "paired", False),
        "usd_per_hour": price.usd_per_hour if (price := spec.machines[target.machine].price) else None,
        **answer.to_json(),
    }


@cache
def commit(root: Path) -> str:
    """The git commit that the promises stand in, "-dirty" where files differ from it; empty outside a repository.

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
