"""The tasks a workload may have, by what its model takes and gives."""

from __future__ import annotations

CLASSIFICATION = frozenset({"image-classification"})
QUESTIONS = frozenset({"question-answering"})
TENSORS = CLASSIFICATION | QUESTIONS
"""Models that map tensors to tensors."""
LANGUAGE = frozenset({"translation"})
"""Models that answer prompts."""
TASKS = tuple(sorted(TENSORS | LANGUAGE))
INSTEAD = {"single-stream": "generate", "server": "load"}
"""What a language model plays where a model of tensors plays the other."""
