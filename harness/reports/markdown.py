"""``summary.md``: the run as a comment on a pull request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.reports.text import basis, cell, figure, interval, taken_over, tally, why
from harness.verdict import Verdict

_MARK = {
    Verdict.PASS: "✅",
    Verdict.FAIL: "❌",
    Verdict.ERROR: "💥",
    Verdict.INCONCLUSIVE: "❔",
    Verdict.OFF_TARGET: "🔹",
    Verdict.UNAVAILABLE: "➖",
}
_ORDER = (
    Verdict.FAIL,
    Verdict.ERROR,
    Verdict.INCONCLUSIVE,
    Verdict.PASS,
    Verdict.OFF_TARGET,
    Verdict.UNAVAILABLE,
)


def render(evidence: Mapping[str, Any]) -> str:
    """The whole summary; what needs attention stands first."""
    lines = [
        f"# KPIs: {tally(evidence['verdicts'])}",
        "",
        _where(evidence),
        "",
        "| | KPI | metric | measured | interval | bound | rests on |",
        "|---|---|---|--:|---|---|---|",
    ]
    targets = sorted(evidence["targets"], key=lambda t: _ORDER.index(Verdict(t["verdict"])))
    for target in targets:
        cells = (
            f"{_MARK[Verdict(target['verdict'])]} {target['verdict']}",
            target["kpi"],
            target["metric"],
            figure(target),
            interval(target),
            target["bound"],
            basis(target) or why(target),
        )
        lines.append("| " + " | ".join(map(cell, cells)) + " |")
    remarks = [
        (target["id"], said)
        for target in targets
        for said in (
            *([why(target)] if target["value"] is not None and target["verdict"] != Verdict.PASS else ()),
            *target.get("notes", ()),
        )
        if said
    ]
    if remarks:
        lines += ["", "<details><summary>Why</summary>", ""]
        lines += [f"- {cell(name)}: {cell(said)}" for name, said in remarks]
        lines += ["", "</details>"]
    if said := taken_over(evidence):
        lines += ["", cell(said)]
    if evidence["published"]:
        lines += ["", "<details><summary>Published figures for comparison (not ours)</summary>", ""]
        for line in evidence["published"]:
            lines.append(
                f"- {cell(line['workload'])}, {cell(line['recipe'])}, {cell(line['machine'])}: "
                f"{_published(line['values'])} ({cell(line['source'])})"
            )
        lines += ["", "</details>"]
    return "\n".join(lines) + "\n"


def _where(evidence: Mapping[str, Any]) -> str:
    machine = evidence["machine"]
    what = f"{cell(machine['cpu'])}, {machine['cores']} cores, {machine['memory'] / 1e9:.0f} GB"
    return f"{what}; {cell(evidence['started'])}{'; release' if evidence['release'] else ''}"


def _published(values: Mapping[str, Any]) -> str:
    from harness.metrics import metrics

    said = []
    for name, (low, high) in values.items():
        show = metrics()[name].dimension.format
        said.append(f"{name} {show(low)}" + (f" to {show(high)}" if high != low else ""))
    return ", ".join(said)
