"""Classifiers: what is decided of each sample, and how often rightly."""

from __future__ import annotations

from harness.spec.default_space import tensor_space
from harness.spec.tasks import Task

TASKS = tuple(
    Task(
        f"{kind}-classification",
        answers="array",
        metric="accuracy.top1",
        hub=f"{kind}-classification",
        space=tensor_space,
    )
    for kind in ("image", "text", "audio", "tabular")
)
CLASSIFICATION = frozenset(task.name for task in TASKS)
