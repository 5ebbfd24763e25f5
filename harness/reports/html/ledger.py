"""The ledger as rows: what was promised, what was found, by how much, and all that it rests on."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.core.text import plain
from harness.evidence.explain import explain
from harness.evidence.model import Evidence, TargetLine
from harness.evidence.text import ORDER, basis, figure, interval, unselected, why
from harness.judge.metrics import metrics
from harness.judge.verdict import Verdict
from harness.reports.html.intervals import Drawn, drawn
from harness.reports.html.parts import said_proof

WORDS = {
    Verdict.PASS: "pass",
    Verdict.FAIL: "fail",
    Verdict.ERROR: "error",
    Verdict.INCONCLUSIVE: "inconclusive",
    Verdict.OFF_TARGET: "off target",
    Verdict.UNAVAILABLE: "unavailable",
}
MARKS = {
    Verdict.PASS: "✓",
    Verdict.FAIL: "✕",
    Verdict.ERROR: "!",
    Verdict.INCONCLUSIVE: "?",
    Verdict.OFF_TARGET: "◇",
    Verdict.UNAVAILABLE: "-",
}
UNASKED = "unselected"
DETAILED = 400
"""Of so many targets, those that need a person first, the page holds all that they rest on."""
LISTED = 2000
"""So many targets are in the page at all."""
_PLAIN_K = re.compile(r"[\w.:+\-\[\]/]+\Z")


@dataclass(frozen=True, slots=True)
class Row:
    """One target; ``state`` is its verdict in lower case, or ``unselected`` for one that the user left out."""

    place: int
    state: str
    rank: int
    mark: str
    word: str
    kpi: str
    recipe: str
    machine: str
    metric: str
    title: str
    workload: str
    bound: str
    value: str
    interval: str
    basis: str
    drawn: Drawn | None
    spare: str
    reason: str
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Count:
    """How many targets ended in one way."""

    state: str
    mark: str
    word: str
    count: int


def rows(evidence: Evidence) -> list[Row]:
    """Every promised target; those that need a person first, those that were not selected last."""

    def rank(target: TargetLine) -> int:
        return len(ORDER) if unselected(target) else ORDER.index(target.verdict)

    ranked = sorted(evidence.targets, key=rank)
    return [
        _row(place, rank(target), target, evidence, detailed=place < DETAILED) for place, target in enumerate(ranked)
    ]


def counts(shown: Sequence[Row]) -> list[Count]:
    """The verdicts that occur, then what was left out."""
    found = Counter(row.state for row in shown)
    made = [Count(v.value.lower(), MARKS[v], WORDS[v], found[v.value.lower()]) for v in Verdict]
    made.append(Count(UNASKED, "·", "not selected", found[UNASKED]))
    return [count for count in made if count.count]


def _row(place: int, rank: int, target: TargetLine, evidence: Evidence, *, detailed: bool) -> Row:
    verdict = target.verdict
    left_out = unselected(target)
    where = drawn(target)
    metric = metrics().get(target.metric)
    facts = tuple(_facts(target, evidence)) if detailed and not left_out else ()
    return Row(
        place=place,
        state=UNASKED if left_out else verdict.value.lower(),
        rank=rank,
        mark="·" if left_out else MARKS[verdict],
        word="not selected" if left_out else WORDS[verdict],
        kpi=plain(target.kpi),
        recipe=plain(target.recipe),
        machine=plain(target.machine),
        metric=plain(target.metric),
        title=metric.title if metric else "",
        workload=plain(target.workload),
        bound=plain(target.bound),
        value=figure(target),
        interval=interval(target),
        basis=basis(target),
        drawn=where,
        spare=_spare(where, upper=target.op.startswith("<")),
        reason="" if left_out or verdict is Verdict.PASS else plain(why(target)),
        facts=facts,
    )


def _spare(where: Drawn | None, *, upper: bool) -> str:
    """How far the value is from its bound, in words."""
    if where is None or where.margin is None:
        return ""
    far = abs(where.margin)
    if far > 1 and bool(where.margin < 0) is upper:
        return f"{1 + far:.3g} x the bound"
    far = min(far, 1.0)  # a gain where a loss was allowed
    share = f"{100 * far:.0f}" if far >= 0.1 else f"{100 * far:.2g}"  # noqa: PLR2004 - two figures either way
    return f"{share} % {'to spare' if where.margin >= 0 else 'beyond the bound'}"


def _facts(target: TargetLine, evidence: Evidence) -> Iterator[tuple[str, str]]:
    """All that a verdict rests on: in the words of ``kpi explain``, then digests and identities in full."""
    for line in explain(target, evidence):
        what, _, said = line.partition(" ")
        yield what, plain(said.strip())
    if target.artifact:
        yield "digest", f"SHA-256 {target.artifact}"
    for measurement in evidence.of(target):
        ran = measurement.processes
        said = f", {said_proof(ran[0].proof)}" if ran else ""
        yield "rests on", plain(f"measurement {measurement.id}: {measurement.recipe}, {measurement.scenario}{said}")
    yield "rerun", _command(target)


def _command(target: TargetLine) -> str:
    """The command that measures this target again; a name that -k can't say is asked for by what it can."""
    name = target.id
    words = name if _PLAIN_K.match(name) else f"{target.workload} and {target.metric.rpartition('.')[2]}"
    return f"pytest -k {shlex.quote(plain(words))}"
