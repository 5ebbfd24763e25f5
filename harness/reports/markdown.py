"""``summary.md``: the run as a comment on a pull request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.reports.text import basis, figure, interval, plain, taken_over, tally, why
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
        lines.append("| " + " | ".join(_cell(cell) for cell in cells) + " |")
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
        lines += [f"- {_cell(name)}: {_cell(said)}" for name, said in remarks]
        lines += ["", "</details>"]
    if said := taken_over(evidence):
        lines += ["", _cell(said)]
    if evidence["published"]:
        lines += ["", "<details><summary>Published figures for comparison (not ours)</summary>", ""]
        for line in evidence["published"]:
            lines.append(
                f"- {_cell(line['workload'])}, {_cell(line['recipe'])}, {_cell(line['machine'])}: "
                f"{_published(line['values'])} ({_cell(line['source'])})"
            )
        lines += ["", "</details>"]
    return "\n".join(lines) + "\n"


def _where(evidence: Mapping[str, Any]) -> str:
    machine = evidence["machine"]
    what = f"{_cell(machine['cpu'])}, {machine['cores']} cores, {machine['memory'] / 1e9:.0f} GB"
    return f"{what}; {_cell(evidence['started'])}{'; release' if evidence['release'] else ''}"


def _published(values: Mapping[str, Any]) -> str:
    from harness.metrics import metrics

    said = []
    for name, (low, high) in values.items():
        show = metrics()[name].dimension.format
        said.append(f"{name} {show(low)}" + (f" to {show(high)}" if high != low else ""))
    return ", ".join(said)


def _cell(text: object) -> str:
    """Text that stays within its cell: Markdown's and HTML's own characters lose their meaning."""
    safe = plain(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    for character in "\\`*_[]|#":
        safe = safe.replace(character, f"\\{character}")
    return safe
