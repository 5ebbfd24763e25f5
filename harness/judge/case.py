"""A target of the evidence with all that its verdict rests on: what a metric is judged from again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from harness.core.bounds import MEDIAN, Bound, Relation
from harness.core.statistics import Look, looks_for, recorded_looks
from harness.judge.verdict import Verdict
from harness.measure.records import Measurement

if TYPE_CHECKING:
    from harness.build.artifact import Artifact
    from harness.evidence.model import Evidence, Settings, TargetLine


TAILS = "effective samples"
"""How the bounds of a tail count requests, in the settings of the evidence."""


class NotReproducible(Exception):
    """The evidence does not hold what the verdict rests on."""


def first_look(settings: Settings) -> int:
    """The processes of a run's first look; 0 in evidence of an earlier version, which took requests as independent."""
    return settings.looks[0] if settings.tails == TAILS else 0


@dataclass(frozen=True)
class Case:
    """One target as the evidence holds it; ``artifact`` is its own where its files are at hand."""

    target: TargetLine
    evidence: Evidence
    bound: Bound
    artifact: Artifact | None = None

    @property
    def settings(self) -> Settings:
        """The settings of the run."""
        return self.evidence.settings

    @property
    def first(self) -> int:
        """How many processes say how far slow requests follow one another."""
        return first_look(self.settings)

    @property
    def confidence(self) -> float:
        """The confidence of the run."""
        return self.settings.confidence

    @property
    def attempt_confidence(self) -> float:
        """The confidence of the target: of several attempts each may have its own."""
        return self.target.confidence or self.confidence

    @cached_property
    def measurements(self) -> list[Measurement]:
        """What the verdict rests on, the target's own recipe first. Raises NotReproducible where it is missing."""
        by_id, names = self.evidence.by_id, self.target.measurements
        missing = [name for name in names if name not in by_id]
        if missing or not names:
            raise NotReproducible(f"the measurement {missing[0] if missing else 'it rests on'} is not in the evidence")
        found = [by_id[name] for name in names]
        if found[0].artifact != self.target.artifact:
            raise NotReproducible(f"{found[0].id} measured another artifact, {found[0].artifact[:12]}")
        return found

    def pairs(self) -> Sequence[tuple[int, int]]:
        """The undisturbed pairs of the first two measurements, as places in their processes."""
        own, other = self.measurements[:2]
        pairs = own.pairs.get(other.id.rpartition(":")[2])  # merged evidence puts the file's name before it
        if pairs is None:
            raise NotReproducible(f"{own.id} lists no pairs with {other.id}")
        return pairs

    def looks(self, drift: float) -> tuple[Look, ...]:
        """The looks that the evidence records. Raises NotReproducible where they are not an honest plan."""
        settings, confidence, share = self.settings, self.attempt_confidence, self.bound.share
        try:
            if confidence != self.confidence or share != MEDIAN:
                return looks_for(settings.looks, confidence, drift, share)
            return recorded_looks(settings.looks, settings.against, confidence, drift)
        except ValueError as error:
            raise NotReproducible(str(error)) from None

    @property
    def seen(self) -> int | None:
        """How many processes an undecided target had; others may have asked for more later. None: it was decided."""
        decided = (Verdict.PASS, Verdict.FAIL)
        verdict = self.target.would_be if self.target.verdict == Verdict.OFF_TARGET else self.target.verdict
        return None if verdict in decided else self.target.n

    def stated(self, recipe: str, read: Callable[[Measurement], Sequence[float]]) -> float | None:
        """The figure of a recipe's files, as ``read`` finds it in a measurement, or as a target of its own has it."""
        target = self.target
        for measurement in self.evidence.measurements:
            if measurement.recipe == f"{target.workload}/{recipe}" and (values := read(measurement)):
                return values[0]
        wanted = (target.workload, recipe, target.metric)
        for other in self.evidence.targets:
            same = (other.workload, other.recipe, other.metric) == wanted
            if same and other is not target and other.relation == Relation.VALUE and other.known:
                return other.value
        return None
