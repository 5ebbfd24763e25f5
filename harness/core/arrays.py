"""What an array of samples must be, in words for a message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def array_fault(value: object) -> str:
    """Why this is not an array with samples on its first axis; empty when it is one."""
    import numpy as np

    if not isinstance(value, np.ndarray):
        return f"must be a NumPy array, not {a(value)}"
    return "" if value.ndim else "is a single number: its first axis must count samples"


def of_numbers(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """The arrays that hold numbers: a classifier may answer names besides its scores."""
    return {name: array for name, array in arrays.items() if array.dtype.kind in "biufc"}


def batch_axis(shape: tuple[int, ...], count: int, sample: tuple[int, ...] | None = None) -> str:
    """Says so when another axis than the first counts ``count`` samples (each of shape ``sample``, where known)."""
    for axis, size in enumerate(shape):
        rest = (*shape[:axis], *shape[axis + 1 :])
        if axis and size == count > 1 and sample in (None, rest):
            return f"axis {axis} counts the samples; a batch axis other than the first is not supported yet"
    return ""


def a(value: object) -> str:
    """``None``, ``a list``, ``an array``: what something is, for a sentence."""
    name = {"NoneType": "None", "ndarray": "array"}.get(type(value).__name__, type(value).__name__)
    return name if value is None else f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"
