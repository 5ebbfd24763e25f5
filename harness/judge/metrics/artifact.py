"""Figures of an artifact's files alone."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from harness.judge.case import Case
from harness.judge.metrics.base import Metric
from harness.judge.verdict import Decision, judge_exact

if TYPE_CHECKING:
    from harness.build.artifact import Artifact


class ArtifactMetric(Metric):
    """A figure of the files alone: exact, the same everywhere."""

    machine_bound = False
    comparable = True
    of_files = True
    exact = True
    effort = 0

    @classmethod
    @abstractmethod
    def of(cls, artifact: Artifact) -> float:
        """The value in base units."""

    @classmethod
    def judged_again(cls, case: Case) -> Decision:
        own = cls.of(case.artifact) if case.artifact else case.stated(case.target.recipe, cls.values_in)
        if case.bound.versus is None:
            return judge_exact(case.bound, case.target.value if own is None else own)
        other = case.stated(case.bound.versus, cls.values_in)
        if own is None or other is None:
            # Nothing but the ratio itself is kept: whether it keeps the bound can still be told.
            return judge_exact(case.bound, case.target.value)
        return judge_exact(case.bound, own, other)
