"""The tasks a workload may have, by what its model takes and gives."""

from __future__ import annotations

CLASSIFICATION = frozenset({"image-classification"})
QUESTIONS = frozenset({"question-answering"})
SEGMENTATION = frozenset({"video-segmentation"})
TENSORS = CLASSIFICATION | QUESTIONS | SEGMENTATION
"""Models that map tensors to tensors."""
LANGUAGE = frozenset({"text-generation", "translation"})
"""Models that answer prompts."""
SPEECH = frozenset({"speech-recognition"})
"""Models that hear and write."""
TASKS = tuple(sorted(TENSORS | LANGUAGE | SPEECH))
_INSTEAD = {
    LANGUAGE: {"single-stream": "generate", "offline": "generate", "server": "load"},
    SPEECH: {"single-stream": "transcribe", "offline": "transcribe"},
}
"""What other models play where a model of tensors plays a scenario."""


def played(scenario: str, task: str) -> str:
    """The scenario that a workload of ``task`` plays where a metric names ``scenario``."""
    return next((instead.get(scenario, scenario) for tasks, instead in _INSTEAD.items() if task in tasks), scenario)
