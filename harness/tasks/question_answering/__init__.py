"""Extractive question answering: a question and a passage in, a span of the passage out."""

from __future__ import annotations

from functools import partial

from harness.spec.default_space import tensor_space
from harness.spec.tasks import Task

TASKS = (Task("question-answering", hub="question-answering", space=partial(tensor_space, model_type="transformer")),)
QUESTIONS = frozenset(task.name for task in TASKS)
