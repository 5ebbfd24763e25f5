"""The table that a person sees at the end of a run: grouped by KPI, within 100 columns."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from harness.core.text import plain
from harness.evidence.model import Evidence, KpiLine, TargetLine
from harness.evidence.text import figure, interval, taken_over, tally, unselected, why
from harness.judge.verdict import Verdict

_MANY = 500
"""With more KPIs than this the table is no longer read on a terminal; the summary still is."""
_VERDICT, _BOUND, _WIDEST = 12, 12, 100
_MARGIN = 10
"""What is left of the table and between its five columns."""
STYLE = {
    Verdict.PASS: "bold green",
    Verdict.FAIL: "bold red",
    Verdict.ERROR: "bold red",
    Verdict.INCONCLUSIVE: "yellow",
    Verdict.OFF_TARGET: "cyan",
    Verdict.UNAVAILABLE: "magenta",
}


def render(evidence: Evidence, width: int, *, colour: bool) -> str:
    """The whole table as text, at most ``width`` columns wide."""
    out = io.StringIO()
    console = Console(
        file=out, width=width, force_terminal=colour, color_system="standard" if colour else None, highlight=False
    )
    chosen = [t for t in evidence.targets if not unselected(t)]
    by_kpi: dict[str, list[TargetLine]] = {}
    for target in chosen:
        by_kpi.setdefault(target.kpi, []).append(target)
    for kpi in evidence.kpis:
        if kpi.name in by_kpi and len(by_kpi) <= _MANY:
            _kpi(console, kpi, by_kpi[kpi.name])
    if left := len(evidence.targets) - len(chosen):
        console.print(Text(f"{left} of {len(evidence.targets)} targets were not selected by -k or -m", style="dim"))
    if said := taken_over(evidence):
        console.print(Text(plain(said), style="dim"))
    console.print(Text(tally(Counter(t.verdict for t in chosen)), style="bold"))
    return out.getvalue()


def _widths(targets: list[TargetLine], width: int) -> tuple[int, int, int, int]:
    """How wide metric, value, interval and bound are: what they need, the bound all that is left before the verdict."""

    def longest(texts: Iterable[str], most: int) -> int:
        return min(most, max(map(len, texts)))

    name = longest((target.metric for target in targets), 26)
    value = longest((figure(target) for target in targets), 15)
    left = max(_BOUND, min(width, _WIDEST) - _MARGIN - name - value - _VERDICT)
    between = longest((interval(target) for target in targets), left - _BOUND)
    return name, value, between, left - between


def _kpi(console: Console, kpi: KpiLine, targets: list[TargetLine]) -> None:
    title = Text(plain(kpi.name), style="bold")
    title.append(f"  {plain(kpi.workload)}/{plain(kpi.recipe)} on {plain(kpi.machine)}", style="dim")
    console.print(title)
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    name, value, between, bound = _widths(targets, console.width)
    table.add_column(width=name, no_wrap=True)
    table.add_column(width=value, justify="right", no_wrap=True)
    table.add_column(width=between, overflow="fold")
    table.add_column(width=bound, overflow="fold")
    table.add_column(width=_VERDICT, no_wrap=True)
    reasons: dict[str, list[str]] = {}
    for target in targets:
        verdict = target.verdict
        table.add_row(
            Text(target.metric),
            Text(figure(target), style="bold"),
            Text(interval(target), style="dim"),
            Text(plain(target.bound)),
            Text(verdict.value, style=STYLE[verdict]),
        )
        said = [why(target)] if verdict is not Verdict.PASS and target.reason else []
        for reason in (*said, *target.notes):
            reasons.setdefault(reason, []).append(target.metric)
    console.print(Padding(table, (0, 0, 0, 2)))
    for reason, names in reasons.items():
        which = "" if len(reasons) == 1 and len(names) == len(targets) else f"{', '.join(dict.fromkeys(names))}: "
        note = Table.grid(padding=(0, 1))
        note.add_row(Text("↳", style="dim"), Text(f"{which}{plain(reason)}", style="dim"))
        console.print(Padding(note, (0, 0, 0, 2)))
    console.print()
