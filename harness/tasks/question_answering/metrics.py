"""How good the answers of an extractive model are: exact match, F1, the same span as another recipe's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.core.errors import KpiError
from harness.core.units import SHARE
from harness.judge.metrics.base import SampleMetric
from harness.tasks.question_answering import QUESTIONS
from harness.tasks.question_answering.scoring import squad

if TYPE_CHECKING:
    from harness.tasks.question_answering.scenarios.extract import Extracted


class _Extracted(SampleMetric):
    dimension = SHARE
    better = "higher"
    range = (0.0, 1.0)
    scenario = "extract"
    worthless = 0.0
    tasks = QUESTIONS


class ExactMatch(_Extracted):
    """The share of questions whose answer equals an accepted one after SQuAD's normalization. Rajpurkar et al. 2016."""

    name = "accuracy.exact_match"
    title = "exact match"

    @classmethod
    def scores(cls, outputs: Extracted, reference: Extracted | None) -> list[float]:
        del reference
        return [squad.exact_match(a, golds) for a, golds in zip(outputs.answers, outputs.accepted, strict=True)]


class F1(_Extracted):
    """The mean over questions of the F1 of words with the best accepted answer. Rajpurkar et al. 2016."""

    name = "accuracy.f1"
    title = "F1 of words"

    @classmethod
    def scores(cls, outputs: Extracted, reference: Extracted | None) -> list[float]:
        del reference
        return [squad.f1(a, golds) for a, golds in zip(outputs.answers, outputs.accepted, strict=True)]


class ParitySpan(_Extracted):
    """Formula: the share of questions answered with the very span that the reference recipe answers with."""

    name = "parity.span"
    title = "same span as the reference"
    needs_reference = True

    @classmethod
    def scores(cls, outputs: Extracted, reference: Extracted | None) -> list[float]:
        if reference is None or reference.ids != outputs.ids:
            raise KpiError("the two recipes answered different questions")
        return [float(own == other) for own, other in zip(outputs.spans, reference.spans, strict=True)]

    @classmethod
    def remarks(cls, outputs: Extracted, reference: Extracted | None) -> list[str]:
        """The questions that are answered differently."""
        if reference is None:
            return []
        both = zip(outputs.ids, outputs.spans, reference.spans, outputs.answers, reference.answers, strict=True)
        return [f"{name}: {own!r}, the reference {other!r}" for name, a, b, own, other in both if a != b]
