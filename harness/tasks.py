"""The tasks a workload may have, by what its model takes and gives."""

from __future__ import annotations

CLASSIFICATION = frozenset({"image-classification"})
QUESTIONS = frozenset({"question-answering"})
TENSORS = CLASSIFICATION | QUESTIONS
"""Models that map tensors to tensors."""
LANGUAGE = frozenset({"translation"})
"""Models that answer prompts."""
TASKS = tuple(sorted(TENSORS | LANGUAGE))
_INSTEAD = {"generate": LANGUAGE}
"""What is played by other models where a model of tensors plays one request after another, or batches."""


def played(scenario: str, task: str) -> str:
    """The scenario that a workload of ``task`` plays where a metric names ``scenario``."""
    if scenario in ("single-stream", "offline"):
        return next((instead for instead, tasks in _INSTEAD.items() if task in tasks), scenario)
    return scenario
