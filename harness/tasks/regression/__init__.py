"""Models that answer numbers: how far they are from what is right."""

from __future__ import annotations

from harness.spec.default_space import tensor_space
from harness.spec.tasks import Task

TASKS = tuple(
    Task(name, answers="array", metric="error.rmse", hub=hub, space=tensor_space)
    for name, hub in (("regression", "tabular-regression"), ("time-series-forecasting", "time-series-forecasting"))
)
REGRESSION = frozenset(task.name for task in TASKS)
