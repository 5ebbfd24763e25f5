"""Classifiers: what is decided of each image, and how often rightly."""

from __future__ import annotations

from harness.spec.default_space import tensor_space
from harness.spec.tasks import Task

TASKS = (Task("image-classification", hub="image-classification", space=tensor_space),)
CLASSIFICATION = frozenset(task.name for task in TASKS)
