"""``summary.md``: the run as a comment on a pull request."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from harness.core.text import cell
from harness.core.units import DIMENSIONS
from harness.evidence.history.points import Earlier, before
from harness.evidence.model import Evidence
from harness.evidence.text import ORDER, basis, figure, interval, taken_over, tally, when, why
from harness.judge.verdict import Verdict
from harness.measure.machine.detect import cores_of, memory_of

_MARK = {
    Verdict.PASS: "✅",
    Verdict.FAIL: "❌",
    Verdict.ERROR: "💥",
    Verdict.INCONCLUSIVE: "❔",
    Verdict.OFF_TARGET: "🔹",
    Verdict.UNAVAILABLE: "➖",
}


def render(evidence: Evidence, earlier: Earlier | None = None) -> str:
    """The whole summary; what needs attention comes first: verdicts that changed since ``earlier`` runs, then all."""
    lines = [
        f"# KPIs: {'not green: ' if evidence.problems else ''}{tally(evidence.verdicts)}",
        "",
        _where(evidence),
        "",
        *(f"- ❌ {cell(said)}" for said in evidence.problems),
        *([""] if evidence.problems else []),
        *(_changed(evidence, earlier) if earlier else ()),
        "| | KPI | metric | measured | interval | bound | rests on |",
        "|---|---|---|--:|---|---|---|",
    ]
    targets = sorted(evidence.targets, key=lambda t: ORDER.index(t.verdict))
    for target in targets:
        cells = (
            f"{_MARK[target.verdict]} {target.verdict}",
            target.kpi,
            target.metric,
            figure(target),
            interval(target),
            target.bound,
            basis(target) or why(target),
        )
        lines.append("| " + " | ".join(map(cell, cells)) + " |")
    remarks = [
        (target.id, said)
        for target in targets
        for said in (
            *([why(target)] if target.known and target.verdict != Verdict.PASS else ()),
            *target.notes,
        )
        if said
    ]
    if remarks:
        lines += ["", "<details><summary>Why</summary>", ""]
        lines += [f"- {cell(name)}: {cell(said)}" for name, said in remarks]
        lines += ["", "</details>"]
    if said := taken_over(evidence):
        lines += ["", cell(said)]
    if evidence.published:
        lines += ["", "<details><summary>Published figures for comparison (not ours)</summary>", ""]
        for line in evidence.published:
            lines.append(
                f"- {cell(line.workload)}, {cell(line.recipe)}, {cell(line.machine)}: "
                f"{_published(line.values)} ({cell(line.source)})"
            )
        lines += ["", "</details>"]
    return "\n".join(lines) + "\n"


def _changed(evidence: Evidence, earlier: Earlier) -> Iterator[str]:
    """The verdicts that are not those of the last run of this machine that had an answer."""
    known = [(target, point) for target in evidence.targets if (point := before(target, earlier)) is not None]
    changed = [(target, point) for target, point in known if target.verdict != point.verdict]
    changed.sort(key=lambda pair: ORDER.index(Verdict(pair[0].verdict)))
    if not known:
        return
    if not changed:
        yield f"No verdict changed since {when(max(point.started for _, point in known))} on this machine."
        yield ""
        return
    yield f"**{len(changed)} verdict{'s' if len(changed) > 1 else ''} changed** on this machine:"
    yield ""
    for target, point in changed:
        mark = _MARK[target.verdict]
        said = f"- {mark} {cell(target.kpi)} {cell(target.metric)}: {point.verdict} → **{target.verdict}**"
        figures = [DIMENSIONS[point.unit].format(point.value)] if not math.isnan(point.value) else []
        figures += [figure(target)] if target.known else []
        bound = "" if point.bound == target.bound else f"; the bound was {cell(point.bound)}"
        since = f"{when(point.started)}{f', {cell(point.commit[:7])}' if point.commit else ''}"
        yield f"{said} ({' → '.join(figures)}{', ' if figures else ''}{cell(target.bound)}{bound}; since {since})"
    yield ""


def _where(evidence: Evidence) -> str:
    machine = evidence.machine
    what = f"{cell(machine.cpu)}, {cell(cores_of(machine))}, {cell(memory_of(machine))}"
    for name, other in evidence.reached.items():
        what += f"; {cell(name)}: {cell(other.cpu)}, {cell(cores_of(other))}, {cell(memory_of(other))}"
    heat = "" if machine.heat != () else "; heat is not visible on this machine"
    return f"{what}{heat}; {cell(evidence.started)}{'; release' if evidence.release else ''}"


def _published(values: Mapping[str, Any]) -> str:
    from harness.judge.metrics import metrics

    said = []
    for name, (low, high) in values.items():
        show = metrics()[name].dimension.format
        said.append(f"{name} {show(low)}" + (f" to {show(high)}" if high != low else ""))
    return ", ".join(said)
