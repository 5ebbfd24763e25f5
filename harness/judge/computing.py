"""A metric that can't be computed is one line with the shapes of what it was given, never a trace for the user."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.core.errors import KpiError
from harness.judge.metrics.base import Metric


@contextmanager
def computing(metric: type[Metric], recipe: str, answers: Any, log: Path) -> Iterator[None]:
    """Within it ``metric`` is computed from ``answers``, what a scenario left of ``recipe``.

    Raises KpiError in place of any other error; its trace goes to ``log``.
    """
    try:
        yield
    except KpiError:
        raise
    except Exception as error:
        with log.open("a", encoding="utf-8") as file:
            traceback.print_exc(file=file)
        given = " and ".join(f"{name} {value.shape}" for name, value in _arrays(answers))
        raise KpiError(
            f"{metric.name} can't be computed from what {recipe} answers{f', {given}' if given else ''}: "
            f"{type(error).__name__}: {error}",
            f"check the model's outputs and the fixture's labels; the trace is in {log.name}",
        ) from error


def _arrays(answers: Any) -> Iterator[tuple[str, Any]]:
    """The arrays among the fields of what a scenario left, by name."""
    for name in getattr(answers, "__dataclass_fields__", ()):
        if hasattr(value := getattr(answers, name), "shape"):
            yield name, value
