"""The model card of a package: what was promised, measured and proven of an artifact, for people."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.core.text import cell
from harness.core.units import BYTES
from harness.evidence.model import Evidence, KpiLine, TargetLine, WorkloadLine
from harness.evidence.package.front_matter import front_matter
from harness.evidence.text import basis, figure, interval, precision_of, why
from harness.measure.machine.detect import cores_of, memory_of

UNKNOWN = "unknown: neither the workload's table nor its fixture says one"
_NOT_PROVEN = "NOT PROVEN"


def card(name: str, evidence: Evidence, artifact: Mapping[str, Any], size: int, *, binding: str, forced: bool) -> str:
    """The card of the KPI ``name``; ``artifact`` is the manifest of its files, which are ``size`` bytes.

    ``binding`` says why the KPI is not proven, empty where it is; ``forced`` that it was packed all the same.
    """
    kpi = evidence.by_kpi[name]
    workload = workload_of(kpi, evidence)
    targets = [t for t in evidence.targets if t.kpi == name]
    licence, _ = licence_of(kpi, evidence, artifact)
    lines = front_matter(kpi, workload.task, artifact["format"], licence, targets, forced=forced)
    lines += ["", f"# {cell(name)}{f' ({_NOT_PROVEN})' if forced else ''}", ""]
    if forced:
        lines += [f"> **{_NOT_PROVEN}: packed with `--force`.** {cell(binding)}", ""]
    if kpi.description:
        lines += [cell(kpi.description), ""]
    what = f"{cell(kpi.workload)}/{cell(kpi.recipe)} for the machine {cell(kpi.machine)} ({kpi.device})"
    lines += [
        f"{what}; {_count(artifact['files'])}, {BYTES.format(size)}, artifact `{artifact['digest']}`.",
        "",
        "## Promised and measured",
        "",
        *_table(targets),
        "",
        f"Confidence {100 * evidence.settings.confidence:g} %; every raw sample is in `evidence.json`.",
        "",
        "## Machine",
        "",
        *_machines(evidence),
        "",
        "## How it was made",
        "",
        *_steps(artifact),
        "",
        *_run(kpi, evidence),
        "",
        "## Data and weights",
        "",
        *_about(artifact),
        "",
        "## Limits",
        "",
        *(f"- {said}" for said in _limits(targets, evidence)),
        "",
        "## Licences",
        "",
        *_licences(kpi, evidence, artifact),
        "",
        "## Check it",
        "",
        "`kpi verify` of this folder or archive digests every file and recomputes every verdict.",
    ]
    return "\n".join(lines) + "\n"


def _count(files: Mapping[str, Any]) -> str:
    return "1 file" if len(files) == 1 else f"{len(files)} files"


def licence_notes(name: str, evidence: Evidence, artifact: Mapping[str, Any]) -> str:
    """The text of ``LICENCES.md``."""
    kpi = evidence.by_kpi[name]
    return "\n".join(["# Licences", "", *_licences(kpi, evidence, artifact)]) + "\n"


def licence_of(kpi: KpiLine, evidence: Evidence, artifact: Mapping[str, Any]) -> tuple[str | None, str]:
    """What is known of the licence, and who says so."""
    if told := workload_of(kpi, evidence).licence:
        return str(told), "the workload's table in kpis.toml"
    about = artifact["notes"].get("about", {})
    if told := about.get("licence"):
        return str(told), "the workload's fixture"
    return None, ""


def workload_of(kpi: KpiLine, evidence: Evidence) -> WorkloadLine:
    """The workload's line in the evidence; empty in evidence that was written before there was one."""
    unknown = WorkloadLine(name=kpi.workload, task="")
    return next((w for w in evidence.workloads if w.name == kpi.workload), unknown)


def _licences(kpi: KpiLine, evidence: Evidence, artifact: Mapping[str, Any]) -> list[str]:
    licence, source = licence_of(kpi, evidence, artifact)
    said = f"{cell(licence)}, says {source}." if licence else f"{UNKNOWN[0].upper()}{UNKNOWN[1:]}."
    weights = artifact["notes"].get("about", {}).get("weights")
    lines = [f"- Model and data ({cell(kpi.workload)}): {said}"]
    if weights:
        lines.append(f"- The weights are {cell(weights)}; whatever their licence asks is asked of these files too.")
    return [*lines, "- The libraries that made these files, and those that run them, have licences of their own."]


def _table(targets: Sequence[TargetLine]) -> Iterator[str]:
    yield "| verdict | metric | promised | measured | interval | rests on |"
    yield "|---|---|---|--:|---|---|"
    for target in targets:
        cells = (
            target.verdict,
            target.metric,
            target.bound,
            figure(target),
            interval(target),
            basis(target) or why(target),
        )
        yield f"| {' | '.join(map(cell, cells))} |"


def _machines(evidence: Evidence) -> Iterator[str]:
    machines = evidence.every_machine
    for machine in machines.values():
        devices = ", ".join(map(cell, [*machine.gpus, *machine.npus]))
        what = f"{cell(machine.cpu)}, {cell(cores_of(machine))}, {cell(memory_of(machine))}"
        system = f"{cell(machine.os)} {cell(machine.arch)}"
        yield f"- {what}{f', {devices}' if devices else ''}; {system}"


def _steps(artifact: Mapping[str, Any]) -> Iterator[str]:
    yield "| pass | options | versions |"
    yield "|---|---|---|"
    steps = [
        *artifact["notes"].get("before", ()),
        *([artifact["notes"]["step"]] if "step" in artifact["notes"] else ()),
    ]
    for step in steps:
        versions = ", ".join(f"{name} {version}" for name, version in step["versions"].items())
        yield f"| {cell(step['pass'])} | {cell(_options(step['options']))} | {cell(versions)} |"
    if "before" not in artifact["notes"]:
        yield ""
        yield "The store kept only the last pass of an artifact of this age."


def _options(options: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} = {json.dumps(value)}" for name, value in options.items() if value is not None)


def _run(kpi: KpiLine, evidence: Evidence) -> Iterator[str]:
    """What ran it, as the runtime proved it."""
    recipe = f"{kpi.workload}/{kpi.recipe}"
    told = set()
    for measurement in evidence.measurements:
        if measurement.recipe != recipe or not measurement.processes:
            continue
        proof = measurement.processes[0].proof
        said = f"{proof.runtime} {proof.version} on {proof.device}{precision_of(proof)}"
        options = _options(measurement.runtime_options)
        line = f"- It ran with {cell(said)}{f' ({cell(options)})' if options else ''}."
        if line not in told:
            told.add(line)
            yield line
    libraries = ", ".join(f"{name} {version}" for name, version in evidence.libraries.items())
    yield f"- Installed then: {cell(libraries)}."
    commit = cell(evidence.commit) or "none"
    yield f"- Harness {cell(evidence.harness)}, commit {commit}, {cell(evidence.started)}."


def _about(artifact: Mapping[str, Any]) -> Iterator[str]:
    about = artifact["notes"].get("about")
    if not about:
        yield "Not recorded with an artifact of this age."
        return
    for what, said in about.items():
        if what != "licence":
            yield f"- {cell(what)}: {cell(said)}"


def _limits(targets: Sequence[TargetLine], evidence: Evidence) -> Iterator[str]:
    yield (
        "Times, rates and memory were proven on the machine above, with the versions above, and for no other; "
        "sizes and scores hold everywhere."
    )
    yield "Scores are about the evaluation split of the data above: other data may give others."
    if str(evidence.commit).endswith("-dirty"):
        yield "Files differed from the commit when this was measured: the commit alone does not reproduce it."
    if not evidence.commit:
        yield "The promises stood in no repository: no commit says which they were."
    if evidence.resume:
        yield "The run went on where an earlier one was stopped, and took over measurements of it."
    for target in targets:
        for note in target.notes:
            yield f"{cell(target.metric)}: {cell(note)}"
