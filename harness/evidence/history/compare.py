"""Two runs held side by side, target by target: what moved, what is real of it, what else was changed."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.core.bounds import Relation, change
from harness.core.errors import KpiError
from harness.core.score_bounds import Scores
from harness.evidence.history.change import (
    CHANGED,
    IMMATERIAL,
    Change,
    State,
    between_runs,
    exact_change,
    paired_change,
    process_change,
    state,
    unpaired_change,
)
from harness.evidence.history.differences import differences
from harness.evidence.history.pairs import renamed_kpis, target_pairs
from harness.evidence.history.points import answered
from harness.evidence.history.runs import Found
from harness.evidence.model import Evidence, TargetLine
from harness.judge.machine_ratio import Side
from harness.judge.metrics import metrics
from harness.judge.metrics.base import Metric, ProcessMetric, SampleMetric
from harness.judge.verdict import Verdict

_LOST = (Verdict.FAIL, Verdict.ERROR, Verdict.UNAVAILABLE)
_ROUNDING = 1e-9
_OF_SIZE = ("B", "share", "count")
"""Base units of what a faster or slower machine does not move."""


@dataclass(frozen=True, slots=True)
class Row:
    """One target in both runs; ``base`` or ``new`` is None where it was not promised there.

    ``kpi`` is its name in the new run, ``was`` the old one where that differs; ``because`` says what else is different
    about what was measured, ``said`` why nothing is called a change, or what is special. ``alarm`` is whether a change
    is exceptional among all that were compared.
    """

    kpi: str
    base: TargetLine | None
    new: TargetLine | None
    state: State
    change: Change | None = None
    was: str = ""
    because: tuple[str, ...] = ()
    said: str = ""
    alarm: bool = False

    @property
    def target(self) -> TargetLine:
        """The newer of the two."""
        found = self.new or self.base
        assert found is not None
        return found

    @property
    def verdicts(self) -> tuple[str, str] | None:
        """The verdicts before and after, where both were asked for and they differ."""
        if self.base is None or self.new is None or not (answered(self.base) and answered(self.new)):
            return None
        pair = (str(self.base.verdict), str(self.new.verdict))
        return pair if pair[0] != pair[1] else None

    @property
    def bounds(self) -> tuple[str, str] | None:
        """The bounds before and after, where they differ."""
        if self.base is None or self.new is None or self.base.bound == self.new.bound:
            return None
        return self.base.bound, self.new.bound

    @property
    def regressed(self) -> str:
        """Why this is a step back; empty when it is none."""
        if self.new is None:
            return "it is no longer promised"
        if self.state is State.WORSE and self.alarm:
            return "it is worse"
        if self.verdicts and self.verdicts[0] == Verdict.PASS and self.verdicts[1] in _LOST:
            return f"it was PASS, now {self.verdicts[1]}"
        return ""

    @property
    def differs(self) -> bool:
        """Whether anything is other than before: the value, the verdict, the bound, the name, or that it is there."""
        one_sided = self.base is None or self.new is None
        return bool(one_sided or self.state in CHANGED or self.verdicts or self.bounds or self.was)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs; ``margin`` is what is left to the machine, ``drifted`` how far the unchanged were seen to move."""

    base: Found
    new: Found
    same_machine: bool
    confidence: float
    margin: float
    drifted: float
    rows: tuple[Row, ...]
    renamed: tuple[tuple[str, str], ...]

    @property
    def compared(self) -> list[Row]:
        """Targets of which something can be said."""
        return [row for row in self.rows if row.state is not State.SHOWN]

    @property
    def in_both(self) -> list[Row]:
        """Targets that were answered in both runs."""
        return [row for row in self.rows if row.base and row.new and answered(row.base) and answered(row.new)]

    def kpis(self, side: str) -> list[str]:
        """KPIs that only one of the runs promised: ``side`` is "base" or "new"."""
        other = "new" if side == "base" else "base"
        names = dict.fromkeys(row.kpi for row in self.rows if getattr(row, other) is None)
        there = {row.kpi for row in self.rows if getattr(row, other) is not None}
        return [name for name in names if name not in there]


def compare(base: Found, new: Found, *, any_machine: bool = False) -> Comparison:
    """Holds two runs side by side; KpiError when one of them is not what the evidence promises.

    Values from different machines are shown, and called a change only with ``any_machine``.
    """
    try:
        return _compare(base, new, any_machine=any_machine)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, StopIteration) as error:
        said = f"{type(error).__name__}: {error}"
        raise KpiError(f"{base.place} and {new.place} can't be compared: {said}", "was one written by hand?") from error


def _compare(base: Found, new: Found, *, any_machine: bool) -> Comparison:
    same = base.machines == new.machines
    settings = [found.evidence.settings for found in (base, new)]
    confidence = max(s.confidence for s in settings)
    margin = between_runs(max(s.drift for s in settings))
    renamed = tuple(renamed_kpis(base.evidence, new.evidence))
    pairs = list(target_pairs(base.evidence, new.evidence, dict(renamed)))
    judge = _Judge(base.evidence, new.evidence, confidence, margin)
    made = [judge.row(old, fresh) if same or any_machine else _elsewhere(old, fresh) for old, fresh in pairs]
    unchanged = [judge.is_control(row) for row in made]
    drifted = dict.fromkeys(map(_kind, made), 1.0)
    for row in itertools.compress(made, unchanged):
        drifted[_kind(row)] = max(drifted[_kind(row)], _factor(row))
    # What was seen to move though it is the same says how much of the others' is the machine's; a ratio is free of it.
    own = [control or bool(row.target.versus) for row, control in zip(made, unchanged, strict=True)]
    margins = [margin if free else max(margin, drifted[_kind(row)] - 1) for row, free in zip(made, own, strict=True)]
    rows = judge.alarming([judge.settled(row, left) for row, left in zip(made, margins, strict=True)], margins)
    seen = max((factor for kind, factor in drifted.items() if kind == "speed"), default=1.0) - 1
    return Comparison(base, new, same or any_machine, confidence, margin, seen, rows, renamed)


def _elsewhere(old: TargetLine | None, fresh: TargetLine | None) -> Row:
    return _row(old, fresh, State.SHOWN, said="another machine" if old and fresh else "")


def _row(old: TargetLine | None, fresh: TargetLine | None, found: State, **more: Any) -> Row:
    target = fresh or old
    assert target is not None
    was = old.kpi if old and fresh and old.kpi != fresh.kpi else ""
    return Row(target.kpi, old, fresh, found, was=was, **more)


def _noisy(row: Row) -> bool:
    """Whether another run of the same would give another figure."""
    metric = metrics()[row.target.metric]
    return metric.per_process or metric.paired_samples


def _kind(row: Row) -> str:
    """What moves together when the machine is faster or slower."""
    return str(row.target.unit) if row.target.unit in _OF_SIZE else "speed"


def _factor(row: Row) -> float:
    assert row.change is not None
    return max(row.change.value, 1 / row.change.value)


@dataclass(frozen=True, slots=True)
class _Judge:
    """Says what is real of each target's change."""

    base: Evidence
    new: Evidence
    confidence: float
    margin: float

    def row(self, old: TargetLine | None, fresh: TargetLine | None) -> Row:
        """The target with its change, not yet judged: SHOWN where nothing can be said, UNCLEAR where it will be."""
        if old is None or fresh is None:
            return _row(old, fresh, State.SHOWN)
        metric = metrics().get(fresh.metric)
        if metric is None:
            return _row(old, fresh, State.SHOWN, said=f"this version knows no {fresh.metric}")
        if old.workload != fresh.workload:
            return _row(old, fresh, State.SHOWN, said=f"another workload: {old.workload} before")
        if not old.known or not fresh.known:
            return _row(old, fresh, State.SHOWN)
        because = tuple(differences(old, fresh, self.base, self.new))
        try:
            found, said = self._change(metric, old, fresh)
        except KpiError as error:
            found, said = None, str(error)
        return _row(
            old, fresh, State.SHOWN if found is None else State.UNCLEAR, change=found, because=because, said=said
        )

    def _change(self, metric: type[Metric], old: TargetLine, fresh: TargetLine) -> tuple[Change | None, str]:
        """The change, None with the reason where there is none to be said."""
        if metric.exact:
            return exact_change(old.value, fresh.value), ""
        if not (old.measurements and fresh.measurements):
            return None, "its raw samples are not in the evidence"
        if issubclass(metric, SampleMetric):
            before, after = (_scores(metric, t, e) for t, e in ((old, self.base), (fresh, self.new)))
            if _same_data(old, fresh, self.base, self.new) and len(before.own) == len(after.own):
                return paired_change(before, after, self.confidence), ""
            return unpaired_change(before, after, self.confidence), "other data or another model: not sample by sample"
        if issubclass(metric, ProcessMetric):
            before_side, after_side = (_side(metric, t, e) for t, e in ((old, self.base), (fresh, self.new)))
            return process_change(before_side, after_side, self.confidence), ""
        return None, "only `kpi merge` decides it"

    def alarming(self, rows: Sequence[Row], margins: Sequence[float]) -> tuple[Row, ...]:
        """The rows, marked where a change is exceptional among all: at most 1 - confidence of the alarms are false.

        Benjamini and Hochberg 1995, Journal of the Royal Statistical Society B 57:289: of m comparisons the k with the
        least chance are alarms where each would still be a change at an error of k / m of the promised one.
        """
        exact = [i for i, row in enumerate(rows) if row.state in CHANGED and not _noisy(row)]
        noisy = [i for i, row in enumerate(rows) if row.change is not None and _noisy(row)]
        changed = [i for i in noisy if rows[i].state in CHANGED]
        for count in range(len(changed), 0, -1):
            surer = replace(self, confidence=1 - (1 - self.confidence) * count / len(noisy))
            changed = [i for i in changed if surer.still(rows[i], margins[i])]
            if len(changed) >= count:
                break
        marked = {*exact, *changed}
        return tuple(replace(row, alarm=i in marked) for i, row in enumerate(rows))

    def still(self, row: Row, margin: float) -> bool:
        """Whether the row would be called the same change at this confidence."""
        if row.base is None or row.new is None:
            return False
        change, _ = self._change(metrics()[row.target.metric], row.base, row.new)
        return self.settled(replace(row, change=change), margin).state is row.state

    def is_control(self, row: Row) -> bool:
        """Whether what was measured is the very same in both runs, so that only the machine can have moved it."""
        metric = metrics().get(row.target.metric)
        if row.change is None or row.because or not row.change.ratio or metric is None or row.target.versus:
            return False
        known = row.change.low > 0 and math.isfinite(row.change.high) and 0 < row.change.value < math.inf
        return metric.per_process and known

    def settled(self, row: Row, margin: float) -> Row:
        """The row with what can be said of it, ``margin`` left to the machine."""
        if row.change is None:
            return row
        metric = metrics()[row.target.metric]
        noisy = metric.per_process
        better = metric.better
        if row.target.relation in (Relation.DROP, Relation.GAIN):
            better = "lower" if row.target.relation == Relation.DROP else "higher"
        found = state(row.change, better, margin if noisy else 0.0)
        if metric.exact and row.change.ratio:
            found = State.SAME if abs(row.change.value - 1) < IMMATERIAL * (1 - _ROUNDING) else found
        if noisy and not row.because and found in CHANGED:
            return replace(row, state=State.MACHINE, said="the very same was measured: the machine moved")
        if noisy and found is State.SAME and state(row.change, better, self.margin) is not State.SAME:
            found = State.UNCLEAR
        if not (math.isfinite(row.change.low) or math.isfinite(row.change.high)):
            return replace(row, state=found, said="too few undisturbed processes")
        return replace(row, state=found)


def _same_data(old: TargetLine, fresh: TargetLine, base: Evidence, new: Evidence) -> bool:
    """Whether both were scored on the same evaluation set, in the same way: known only where the fixture is."""
    before, after = base.of(old)[0], new.of(fresh)[0]
    inputs = [m.conditions.get("inputs") for m in (before, after)]
    return bool(inputs[0]) and inputs[0] == inputs[1] and before.scored_with == after.scored_with


def _scores(metric: type[SampleMetric], target: TargetLine, evidence: Evidence) -> Scores:
    """What each sample contributes to the judged value: its score, what it lost, its part of a share."""
    own = evidence.of(target)
    relation = Relation(target.relation)
    scores = metric.read_scores(own[0], None if relation is Relation.VALUE else own[1])
    if scores.others is None:
        return scores
    low, high = scores.ends
    if relation in (Relation.DROP, Relation.GAIN):
        changes = [change(relation, a, b, metric.better) for a, b in zip(scores.own, scores.others, strict=True)]
        return replace(scores, own=changes, others=None, ends=(low - high, high - low))
    if not (mean := math.fsum(scores.others) / len(scores.others)):
        raise KpiError("a share of nothing")
    return replace(scores, own=[score / mean for score in scores.own], others=None, ends=(low / mean, high / mean))


def _side(metric: type[ProcessMetric], target: TargetLine, evidence: Evidence) -> Side:
    """What each process says, or each undisturbed pair of processes, as the verdict counts them."""
    own = evidence.of(target)
    hourly = metric.factor(target.usd_per_hour)
    records = [m.processes for m in own[:2]]
    if not target.versus:
        return Side([hourly * metric.of(r) for r in records[0]], [bool(r.disturbed) for r in records[0]])
    # A merge writes its file's name before the ids, not into the pairs.
    pairs: Sequence[Sequence[int]] = own[0].pairs.get(own[1].id.rpartition(":")[2], ())
    values = [(metric.of(records[0][i]), metric.of(records[1][j])) for i, j in pairs]
    return Side([a / b if b else math.inf for a, b in values], [False] * len(values))
