"""How well a language model does its task: the slots of the answer that are right."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.tasks.language.metrics.text import TextScore

if TYPE_CHECKING:
    from harness.tasks.language.scenarios.answer import Answers


class AccuracyTask(TextScore):
    """Formula: mean over prompts of the slot score of the answer against its reference.

    Source: ``harness.tasks.language.scoring.slots``.
    """

    name = "accuracy.task"
    title = "slots of the answer that are right"

    @classmethod
    def scores(cls, outputs: Answers, reference: object) -> list[float]:
        del reference
        from harness.tasks.language.scoring.slots import slot_scores

        return slot_scores(outputs.outputs, outputs.references)
