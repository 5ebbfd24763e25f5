"""A metric of every slice, or of every class: ``accuracy.top1[slice=*]`` holds where it holds of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, cast

from harness.core.bounds import Bound
from harness.core.errors import KpiError
from harness.judge.case import Case, NotReproducible
from harness.judge.metrics.base import Metric, SampleMetric
from harness.judge.metrics.sliced import SlicedMetric, sliced
from harness.judge.verdict import Decision, Verdict, judge_samples

if TYPE_CHECKING:
    from harness.core.score_bounds import Scores
    from harness.measure.records import Measurement, Outputs

EVERY = "*"


class EverySliceMetric(SampleMetric):
    """What a metric says of each slice; derived from it, ``whole``, as well. Its figure is that of the decisive slice.

    All must pass, and then no correction for their number is needed (an intersection-union test, Berger 1982). That one
    fails counts only at an error divided by their number (Holm 1979, first step), unless the figure of this very set
    is what the bound is about.
    """

    whole: ClassVar[type[SampleMetric]]
    by: ClassVar[str]

    @classmethod
    def part(cls, name: str) -> type[SlicedMetric]:
        """The metric of one slice."""
        found = sliced(f"{cls.whole.name}[{cls.by}={name}]", {cls.whole.name: cls.whole})
        return cast("type[SlicedMetric]", found)

    @classmethod
    def parts(cls, outputs: Outputs) -> list[type[SampleMetric]]:
        """The metrics of all slices that there are, in the order of their names. KpiError where none are named."""
        names = cls.part(EVERY).names(outputs)
        called = list(outputs.classes) if cls.by == "class" else []
        if set(names) & set(called):
            # Names that are numbers (stars from 1 to 5) would be taken for the numbers of other classes.
            names = [called[int(name)] if name.isdigit() and int(name) < len(called) else name for name in names]
        return [cls.part(name) for name in names]

    @classmethod
    def scores(cls, outputs: Outputs, reference: Outputs | None) -> list[float]:
        return cls.whole.scores(outputs, reference)

    @classmethod
    def judged(cls, bound: Bound, scores: Sequence[Scores], confidence: float) -> tuple[Decision, int]:
        def decided(one: Scores, sure: float) -> Decision:
            return judge_samples(bound, one, sure, cls.whole.better, paired=cls.whole.paired)

        first = [decided(one, confidence) for one in scores]
        surer = confidence
        if cls.whole.paired or scores[0].others is not None:
            surer = 1 - (1 - confidence) / len(scores)
        failing = [place for place, one in enumerate(first) if one.verdict is Verdict.FAIL]
        sure = {place: decided(scores[place], surer) for place in failing}
        sure = {place: one for place, one in sure.items() if one.verdict is Verdict.FAIL}
        open_ = {place: one for place, one in enumerate(first) if one.verdict is not Verdict.PASS}
        among = sure or {place: replace(one, verdict=Verdict.INCONCLUSIVE) for place, one in open_.items()}
        among = among or dict(enumerate(first))
        worst = (max if bound.upper else min)(among, key=lambda place: among[place].value)
        return among[worst], worst

    @classmethod
    def judged_again(cls, case: Case) -> Decision:
        found = cls.scores_in(case.measurements, versus=bool(case.bound.versus))
        if not found:
            raise NotReproducible(f"the measurements hold no scores of {cls.name}")
        return cls.judged(case.bound, list(found.values()), case.confidence)[0]

    @classmethod
    def parts_in(cls, bound: Bound, own: Sequence[Measurement], confidence: float) -> Mapping[str, Decision]:
        found = cls.scores_in(own, versus=bool(bound.versus)) if own else {}
        return {name: cls.whole.judged(bound, [scores], confidence)[0] for name, scores in found.items()}

    @classmethod
    def scores_in(cls, measurements: Sequence[Measurement], *, versus: bool) -> dict[str, Scores]:
        """The scores of each slice that the evidence holds, by the slice's name."""
        begin = f"{cls.whole.name}[{cls.by}="
        own = measurements[0]
        names = sorted(key.removeprefix(begin)[:-1] for key in own.scores if key.startswith(begin))
        other = measurements[1] if versus else None
        return {name: cls.part(name).read_scores(own, other) for name in names if name != EVERY}

    @classmethod
    def read_scores(cls, own: Measurement, other: Measurement | None = None) -> Scores:
        del own, other
        raise KpiError(f"{cls.name} is of several slices", "name one of them to compare it")

    @classmethod
    def values_in(cls, measurement: Measurement) -> list[float]:
        del measurement
        return []


def every_slice(name: str, listed: Mapping[str, type[Metric]]) -> type[EverySliceMetric] | None:
    """The metric of a name such as ``accuracy.top1[slice=*]``; None where there is no such one."""
    one = sliced(name, listed)
    if one is None or not issubclass(one, SlicedMetric) or one.which != EVERY:
        return None
    said = {
        "name": name,
        "title": f"{one.whole.title}, every {one.by}",
        "__doc__": f"Formula: ``{one.whole.name}`` of each {one.by}; the one that decides is shown.",
        "__module__": one.whole.__module__,
        "whole": one.whole,
        "by": one.by,
    }
    return type(f"{one.whole.__name__}EverySlice", (EverySliceMetric, one.whole), said)
