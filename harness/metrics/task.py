"""How well a language model does its task: the slots of the answer that are right."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.metrics.base import SampleMetric
from harness.tasks import LANGUAGE
from harness.units import SHARE

if TYPE_CHECKING:
    from harness.scenarios.answer import Answers


class AccuracyTask(SampleMetric):
    """Formula: mean over prompts of the slot score of the answer against its reference (``harness.text.slots``)."""

    name = "accuracy.task"
    title = "slots of the answer that are right"
    dimension = SHARE
    better = "higher"
    scenario = "answer"
    tasks = LANGUAGE
    range = (0.0, 1.0)
    worthless = 0.0

    @classmethod
    def check(cls, outputs: Answers, recipe: str) -> None:
        outputs.require(recipe)

    @classmethod
    def remarks(cls, outputs: Answers, reference: object) -> list[str]:
        del reference
        return outputs.remarks()

    @classmethod
    def scores(cls, outputs: Answers, reference: object) -> list[float]:
        del reference
        from harness.text.slots import slot_scores

        return slot_scores(outputs.outputs, outputs.references)
