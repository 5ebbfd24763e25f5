"""Two runs side by side: text for a terminal, Markdown for a pull request."""

from __future__ import annotations

import io
import math
from collections import Counter
from collections.abc import Iterator

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from harness.core.bounds import Relation, judged_in
from harness.core.text import cell, plain
from harness.core.units import DIMENSIONS
from harness.evidence.history.change import CHANGED, Change, State
from harness.evidence.history.compare import Comparison, Row
from harness.evidence.history.points import answered
from harness.evidence.history.runs import Found
from harness.evidence.machine_name import machine_name
from harness.evidence.text import figure, when
from harness.judge.verdict import Verdict
from harness.reports.terminal import STYLE

_STYLE = {State.BETTER: "green", State.WORSE: "bold red", State.MACHINE: "yellow"}
_MARK = {State.BETTER: "🟢", State.WORSE: "🔴"}
_MANY = 10
_LISTED = 500
"""So many targets are listed whether they changed or not."""
_PERCENT, _LEAST = 100.0, 0.05


def change_text(change: Change, unit: str) -> str:
    """``+12.3 % (9.8 to 15.1 %)``, or a difference in the unit's own; the interval only where there is one."""
    if not change.ratio:
        show = judged_in(DIMENSIONS[unit], Relation.DROP).format
        said = [("+" if number > 0 else "") + show(number) for number in (change.value, change.low, change.high)]
    else:
        said = [_percent(factor) for factor in (change.value, change.low, change.high)]
    if change.low == change.high or not (math.isfinite(change.low) or math.isfinite(change.high)):
        return said[0]
    ending = said[2].rpartition(" ")[2]
    return f"{said[0]} ({said[1].removesuffix(f' {ending}')} to {said[2]})"


def _percent(factor: float) -> str:
    if not math.isfinite(factor):
        return "∞ %" if factor > 0 else "-∞ %"
    by = _PERCENT * (factor - 1)
    if abs(by) < _LEAST:
        return f"{by:+.1g} %" if by else "0 %"
    return f"{by:+.{1 if abs(by) < _PERCENT else 0}f} %"


def tally(compared: Comparison) -> str:
    """``2 worse, 1 better, 14 same``; the verdicts that changed behind it."""
    counts = Counter(row.state for row in compared.rows)
    order = (State.WORSE, State.BETTER, State.MACHINE, State.UNCLEAR, State.SAME)
    words = {State.MACHINE: "moved with the machine"}
    said = [f"{counts[name]} {words.get(name, name)}" for name in order if counts[name]]
    verdicts = sum(row.verdicts is not None for row in compared.rows)
    said += [f"{verdicts} verdict{'s' if verdicts > 1 else ''} changed"] if verdicts else []
    return ", ".join(said) or "nothing could be compared"


def remarks(compared: Comparison) -> Iterator[str]:
    """What to know about the two runs as a whole."""
    if not compared.same_machine:
        yield "the runs are of different machines: values are shown, nothing is called a change"
    yield from _names(compared)
    alone = [_only_in(row) for row in compared.rows]
    for word in ("base", "new"):
        if count := alone.count(word):
            yield f"{count} target{'s were' if count > 1 else ' was'} measured in the {word} run only"
    if compared.drifted > compared.margin:
        yield (
            f"what was the same in both runs moved by up to {_PERCENT * compared.drifted:.1f} %: so much is left to "
            "the machine"
        )
    if counted := sum(row.state is not State.SHOWN for row in compared.rows):
        changed = sum(row.state in CHANGED for row in compared.rows)
        targets = f"{counted} target{'s' if counted > 1 else ''}"
        yield (
            f"{f'{changed} of {targets} changed' if changed else f'no change was shown for {targets}'} "
            f"({_PERCENT * compared.confidence:g} % confidence for each; the machine may drift by "
            f"{_PERCENT * compared.margin:.1f} %)"
        )


def _names(compared: Comparison) -> Iterator[str]:
    for old, name in compared.renamed:
        yield f"renamed: {old} is now {name}"
    for side, word in (("base", "gone"), ("new", "new")):
        if names := compared.kpis(side):
            yield f"{word}: {', '.join(names)}"
    for found, word in ((compared.base, "base"), (compared.new, "new")):
        if not found.evidence.complete:
            yield f"the {word} run was stopped before its end"


def _only_in(row: Row) -> str:
    """Which run alone has an answer, of a target that both promised."""
    if row.base is None or row.new is None or answered(row.base) == answered(row.new):
        return ""
    return "base" if answered(row.base) else "new"


def notes(row: Row) -> Iterator[str]:
    """What to know about one target besides its figures."""
    if row.was:
        yield f"was {row.was}"
    if row.bounds:
        yield f"bound {row.bounds[0]} → {row.bounds[1]}"
    if row.said:
        yield row.said
    if row.because:
        more = f", and {len(row.because) - _MANY} more" if len(row.because) > _MANY else ""
        yield ", ".join(row.because[:_MANY]) + more


def where(found: Found) -> str:
    """``2026-11-21 16:14, commit aa705aa, AMD EPYC, 2 cores, 25 GB (run 5e9db8a)``."""
    evidence = found.evidence
    commit = str(evidence.commit)
    said = f"commit {commit[:7]}{'-dirty' if commit.endswith('-dirty') else ''}" if commit else "no commit"
    names = dict.fromkeys(map(machine_name, evidence.every_machine.values()))
    return f"{when(evidence.started)}, {said}, {' and '.join(names)} (run {found.id[:7]})"


def _verdict(row: Row) -> str:
    if row.base is None:
        return "new"
    if row.new is None:
        return "gone"
    return " → ".join(row.verdicts) if row.verdicts else str(row.new.verdict)


def _shown(compared: Comparison) -> list[Row]:
    """Rows with two figures to hold side by side, or with news; what one run alone measured is counted below."""
    there = {id(row) for row in compared.in_both if row.base and row.base.known}
    shown = [row for row in compared.rows if id(row) in there or row.differs]
    return shown if len(shown) <= _LISTED else [row for row in shown if row.differs]


def terminal(compared: Comparison, width: int, *, colour: bool) -> str:
    """The whole comparison, grouped by KPI."""
    out = io.StringIO()
    console = Console(
        file=out, width=width, force_terminal=colour, color_system="standard" if colour else None, highlight=False
    )
    for word, found in (("base", compared.base), ("new", compared.new)):
        console.print(Text(f"{word:5}", style="dim").append(plain(where(found)), style="default"))
    console.print()
    by_kpi: dict[str, list[Row]] = {}
    for row in _shown(compared):
        by_kpi.setdefault(row.kpi, []).append(row)
    for kpi, rows in by_kpi.items():
        console.print(Text(plain(kpi), style="bold"), overflow="fold")
        console.print(Padding(_table(rows, width - 2), (0, 0, 0, 2)))
        said: dict[str, list[str]] = {}
        for row in rows:
            for note in notes(row):
                said.setdefault(note, []).append(row.target.metric)
        for note, names in said.items():
            which = "" if len(names) == len(rows) else f"{', '.join(dict.fromkeys(names))}: "
            line = Table.grid(padding=(0, 1))
            line.add_row(Text("↳", style="dim"), Text(plain(f"{which}{note}"), style="dim", overflow="fold"))
            console.print(Padding(line, (0, 0, 0, 2)))
        console.print()
    if len(compared.in_both) > _LISTED:
        console.print(Text("what did not change is not listed, since it is so many: --json has all", style="dim"))
    for remark in remarks(compared):
        console.print(Text(plain(remark), style="dim"), overflow="fold")
    console.print(Text(tally(compared), style="bold"))
    return out.getvalue()


def _table(rows: list[Row], width: int) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    name = min(22, max(14, *(len(row.target.metric) for row in rows)))
    left = max(26, width - name - 11 - 11 - 7 - 5 * 2)
    table.add_column(width=name, overflow="fold")
    table.add_column(width=11, justify="right", overflow="fold")
    table.add_column(width=11, justify="right", overflow="fold")
    table.add_column(width=left - 13, overflow="fold")
    table.add_column(width=7, no_wrap=True)
    table.add_column(width=13, overflow="fold")
    for row in rows:
        verdict = Verdict(row.target.verdict)
        table.add_row(
            Text(plain(row.target.metric)),
            Text(figure(row.base) if row.base else "", style="dim"),
            Text(figure(row.new) if row.new else ""),
            Text(change_text(row.change, row.target.unit) if row.change else ""),
            Text("" if row.state is State.SHOWN else row.state.value, style=_STYLE.get(row.state, "dim")),
            Text(_verdict(row), style=STYLE[verdict] if row.verdicts else "dim"),
        )
    return table


def markdown(compared: Comparison) -> str:
    """The comparison for a pull request: what has changed comes first, the rest is folded away."""
    lines = [f"# KPIs compared: {tally(compared)}", ""]
    lines += [f"- {word}: {cell(where(found))}" for word, found in (("base", compared.base), ("new", compared.new))]
    rows = sorted(_shown(compared), key=lambda row: (not row.regressed, not row.verdicts, row.state not in CHANGED))
    first = [row for row in rows if row.differs]
    rest = [row for row in rows if not row.differs]
    if first:
        lines += ["", *_rows(first)]
    if rest:
        lines += [
            "",
            f"<details><summary>No change in {len(rest)} targets</summary>",
            "",
            *_rows(rest),
            "",
            "</details>",
        ]
    lines += ["", *(f"- {cell(remark)}" for remark in remarks(compared))]
    return "\n".join(lines) + "\n"


def _rows(rows: list[Row]) -> Iterator[str]:
    yield "| | KPI | metric | base | new | change | verdict | |"
    yield "|---|---|---|--:|--:|---|---|---|"
    for row in rows:
        cells = (
            f"{_MARK.get(row.state, '')} {'' if row.state is State.SHOWN else row.state}".strip(),
            row.kpi,
            row.target.metric,
            figure(row.base) if row.base else "",
            figure(row.new) if row.new else "",
            change_text(row.change, row.target.unit) if row.change else "",
            _verdict(row),
            "; ".join(notes(row)),
        )
        yield "| " + " | ".join(cell(text) for text in cells) + " |"
