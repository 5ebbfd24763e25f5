"""The build worker: describes a workload, writes its request samples, or runs one pass; JSON in, JSON out."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

from harness.build.artifact import read_artifact, write_manifest
from harness.build.passes import faithful, find_pass
from harness.build.passes.base import Pass, PassContext
from harness.core.errors import KpiError, reason
from harness.core.protocol import serve
from harness.workloads.base import Settings, TensorWorkload, Workload
from harness.workloads.checks import checked, described
from harness.workloads.errors import located, naming_fixture
from harness.workloads.files.signature import signature_of
from harness.workloads.loading import code_digest, load_workload
from harness.workloads.overlap import Recorder, keep_training

REQUEST_SAMPLES = 64
"""How many evaluation samples latency and throughput are measured with, in turn."""


def describe(request: Mapping[str, Any], _: Callable[[str], None]) -> dict[str, Any]:
    """Identifies the workload: what its artifacts depend on, where its weights and data come from."""
    root = Path(request["root"])
    fingerprint, about, inputs = described(_workload(request), root)
    code = code_digest(root, request["fixture"])
    return {"fingerprint": fingerprint, "code": code, "about": about, "inputs": inputs}


def samples(request: Mapping[str, Any], _: Callable[[str], None]) -> dict[str, Any]:
    """Writes the request samples, in the form in which the model takes them, and which training samples there are."""
    out, workload = Path(request["out"]), _workload(request)
    workload.write_samples(out, REQUEST_SAMPLES)
    if isinstance(workload, TensorWorkload):
        keep_training(workload, out)
    write_manifest(out, request["key"], "samples", {})
    return {}


def run_pass(request: Mapping[str, Any], progress: Callable[[str], None]) -> dict[str, Any]:
    """Runs one pass and writes the manifest of what it made."""
    cls = find_pass(request["pass"])
    # Training loops and calibrations gain nothing from spinning threads on a shared machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    started = time.monotonic()
    out = Path(request["out"])
    with tempfile.TemporaryDirectory(prefix="kpi-pass-") as scratch:
        source = Path(request["source"]) if request["source"] else None
        work = Path(request["work"])
        work.mkdir(parents=True, exist_ok=True)
        workload = _workload(request)
        job = PassContext(source, out, Path(scratch), work, workload, progress, Path(request["root"]))
        notes = run_step(cls(cls.Options(**request["options"])), job, request["options"])
        _remove_folders(out, [folder for folder in (source, out, job.scratch, work) if folder])
    versions = {name: metadata.version(name) for name in cls.requires}
    step = {"pass": cls.name, "options": request["options"], "versions": versions, "notes": notes}
    naming = notes.pop("naming", None) or (source and read_artifact(source).notes.get("naming"))
    made, before = notes.pop("format", cls.output_format), notes.pop("before", [])
    released = notes.pop("released", None)
    if compared := notes.pop("compared", None):
        step["compared"] = compared
    if seen := notes.pop("seen", None):
        step["seen"] = seen
    if job.remarks:
        step["remarks"] = job.remarks
    step["seconds"] = round(time.monotonic() - started, 2)
    kept = {
        "workload": request["settings"]["name"],
        "about": {what: _portable(said, request["root"]) for what, said in workload.about().items()},
        "step": step,
        "before": read_artifact(source).steps if source else before,
        **({"released": released} if released else {}),
    }
    if isinstance(workload, TensorWorkload) and (signature := signature_of(out)):
        plain = signature.without(workload.state)
        batch = 1 if workload.one_by_one else plain.batch
        kept |= {"batch": batch, "batch_names": plain.batch_names}
        if naming:
            kept["naming"] = naming
        if workload.state:
            kept["state"] = [asdict(one) for one in workload.state]
    write_manifest(out, request["key"], made, kept)
    return {}


def run_step(step: Pass, job: PassContext, chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Runs a pass and checks what it wrote; whatever a library raises becomes one line that names pass and options."""
    files = sorted(p.name for p in job.source.glob("model.*")) if job.source else []
    told = ", ".join(f"{name} = {json.dumps(value)}" for name, value in chosen.items() if value is not None)
    where = f'pass "{step.name}"' + (f" ({told})" if told else "") + (f" on {', '.join(files)}" if files else "")
    try:
        # What is read for the comparison is nothing that the result was made with.
        with Recorder(job.workload) as recorder:
            notes = dict(step.run(job))
        notes["seen"] = recorder.seen
        if "compared" not in notes:
            notes["compared"] = faithful.check(job, step)
    except (KpiError, OSError, MemoryError):
        raise
    except Exception as error:
        if located(error, job.root):
            raise  # the fixture's own line says more
        traceback.print_exc()
        raise KpiError(f"{where} stopped: {type(error).__name__}: {reason(error)}", step.remedy(error)) from error
    return notes


def _remove_folders(out: Path, folders: Sequence[Path]) -> None:
    """Libraries write into their settings where they read a model: the same files must come out on every machine."""
    for file in out.rglob("*.json"):
        text = portable = file.read_text(encoding="utf-8", errors="surrogateescape")
        for folder in sorted(map(str, folders), key=len, reverse=True):
            # As JSON has it: a backslash is two.
            portable = portable.replace(json.dumps(folder)[1:-1], ".")
        if portable != text:
            file.write_text(portable, encoding="utf-8", errors="surrogateescape")


def _portable(text: str, root: str) -> str:
    """Without the folders of this machine's user: what is written here may be published with the model."""
    return text.replace(root, ".").replace(str(Path.home()), "~")


def _workload(request: Mapping[str, Any]) -> Workload:
    root, settings = Path(request["root"]), Settings.from_json(request["settings"])
    return checked(load_workload(root, request["fixture"], settings), root)


@naming_fixture
def _dispatch(request: Mapping[str, Any], progress: Callable[[str], None]) -> Mapping[str, Any]:
    return {"describe": describe, "samples": samples, "pass": run_pass}[request["op"]](request, progress)


if __name__ == "__main__":
    sys.exit(serve(_dispatch))
