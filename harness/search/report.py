"""What a search says: a line for each candidate, the front as a table, what the targets cost."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from harness.core.text import plain
from harness.search.pareto import BROKEN, DROPPED, LIKELY, MISSED, PROVEN, Price, Row, front, level_mark, winner
from harness.search.run import Outcome
from harness.spec.model import Target

_STYLES = {PROVEN: "green", LIKELY: "yellow", MISSED: "red", DROPPED: "dim", BROKEN: "magenta"}
_SHOWN = 12


def figure(target: Target, row: Row) -> str:
    """A candidate's figure for a target: ``~`` from a short look, ``!`` behind one that misses."""
    seen = row.seen.get(target.label)
    return f"{amount(target, row)}{' !' if seen and seen.margin < 0 else ''}"


def amount(target: Target, row: Row) -> str:
    """The figure alone; empty where the candidate was dropped before."""
    seen = row.seen.get(target.label)
    return f"{level_mark(seen)}{target.shown_in.format(seen.value)}" if seen else ""


def line(number: int, trials: int, row: Row, rows: Sequence[Row], targets: Sequence[Target]) -> str:
    """One finished candidate with the best so far."""
    by_label = {target.label: target for target in targets}
    if row.state == BROKEN:
        said = f"{BROKEN}: {row.why}"
    elif row.state == DROPPED:
        target = by_label[row.why]
        said = f"{DROPPED}: {target.metric_name} {amount(target, row)} for {target.bound.text}"
    else:
        said = f"{row.state}; " + ", ".join(f"{target.label} {figure(target, row)}" for target in targets)
    best = winner(rows)
    so_far = f"best {best.name}" if best else "none meets all yet"
    head = "own" if row.own else f"{number}/{trials}"
    return plain(f"{head:>7}  {row.name}  {said}  [{so_far}; front {len(front(rows, targets))}; {row.seconds:.0f} s]")


def front_table(outcome: Outcome) -> Table:
    """The front: a row for each candidate, a column for each target."""
    targets = outcome.kpi.targets
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("recipe", overflow="fold")
    for target in targets:
        table.add_column(Text(f"{plain(target.label)}\n{plain(target.bound.text)}"), justify="right")
    table.add_column("")
    for row in outcome.front[:_SHOWN]:
        name = Text(plain(row.name), style="bold" if row is outcome.winner else "")
        said = row.state if row.state != MISSED else f"misses {plain(row.binding)}"
        own = " (the KPI's own)" if row.own else ""
        table.add_row(name, *(Text(figure(t, row)) for t in targets), Text(f"{said}{own}", style=_STYLES[row.state]))
    return table


def conclusion(outcome: Outcome) -> Iterator[str]:
    """What it comes to, a line each."""
    tried = len(outcome.rows) - 1
    ended = "all there are" if outcome.exhausted else "of the space"
    yield (
        f"{tried} candidates, {ended}; {outcome.checks} checks made, {outcome.kept} kept from before; "
        f"{outcome.seconds / 60:.1f} min"
    )
    if outcome.elsewhere:
        yield f"off target: {outcome.elsewhere}; what was found here is about this machine and proves nothing there"
    if outcome.winner is not None:
        yield f"{outcome.winner.name} meets all {len(outcome.kpi.targets)} targets"
    else:
        yield from _missed(outcome)
    for price in outcome.prices:
        yield _price(outcome, price)


def _missed(outcome: Outcome) -> Iterator[str]:
    by_label = {target.label: target for target in outcome.kpi.targets}
    near = outcome.nearest
    if near is None:
        yield "no recipe in this space meets it, and none could be looked at"
        broken = next((row for row in outcome.rows if row.state == BROKEN), None)
        if broken is not None:
            yield f"{broken.name}: {broken.why}"
        return
    if near.state == LIKELY:
        yield f"no recipe in this space is proven to meet it; {near.name} looks good, but is too near a bound to tell"
        return
    target = by_label[near.binding]
    yield (
        f"no recipe in this space meets it; nearest is {near.name}: {target.metric_name} is {amount(target, near)}, "
        f"bound {target.bound.text}"
    )
    yield f"the binding target is {target.id}"


def _price(outcome: Outcome, price: Price) -> str:
    by_label = {target.label: target for target in outcome.kpi.targets}
    target = by_label[price.target]
    said = f"{target.metric_name} {target.bound.text}"
    if outcome.winner is None:
        return f"{said}: at {amount(target, price.row)} {price.row.name} keeps all the others"
    gained = by_label[price.gained]
    if price.row.seen[price.target].margin < 0:
        how = f"relaxed to {amount(target, price.row)}"
    else:
        how = f"used up to {amount(target, price.row)}"
    before, after = amount(gained, outcome.winner), amount(gained, price.row)
    return f"{said}: {how}, {gained.metric_name} goes from {before} to {after} ({price.row.name})"


def to_json(outcome: Outcome, diff: str) -> str:
    """The whole outcome for programs."""
    made: dict[str, Any] = {
        "kpi": outcome.kpi.name,
        "met": outcome.winner is not None,
        "winner": _row(outcome.winner),
        "nearest": _row(outcome.nearest),
        "binding": outcome.nearest.binding if outcome.nearest else None,
        "front": [_row(row) for row in outcome.front],
        "prices": [{"target": p.target, "recipe": p.row.name, "gained": p.gained} for p in outcome.prices],
        "candidates": [_row(row) for row in outcome.rows],
        "exhausted": outcome.exhausted,
        "checks": outcome.checks,
        "kept": outcome.kept,
        "seconds": round(outcome.seconds, 1),
        "off_target": outcome.elsewhere,
        "diff": diff,
    }
    # In ASCII: a name may hold what turns a terminal's text around.
    return json.dumps(made, indent=1, default=str)


def _row(row: Row | None) -> Mapping[str, Any] | None:
    return row.to_json() if row else None
