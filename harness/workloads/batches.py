"""Which samples may be in one batch: those of one shape, where a workload has samples of several."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from harness.workloads.base import Split

    Arrays = dict[str, npt.NDArray[np.generic]]


def alike(split: Split, rows: Sequence[int]) -> list[Sequence[int]]:
    """The rows by the shape of their samples, each kind in the order of ``rows``; the most frequent kind first."""
    shapes = split.shapes
    if shapes is None:
        return [rows] if len(rows) else []
    found: dict[Hashable, list[int]] = {}
    for row in rows:
        found.setdefault(shapes[row], []).append(row)
    return sorted(found.values(), key=len, reverse=True)


def batches(split: Split, count: int, size: int) -> Iterator[list[int]]:
    """The rows of batches of ``size`` of the first ``count`` samples, each of samples of one shape."""
    for rows in alike(split, range(count)):
        for start in range(0, len(rows), size):
            yield list(rows[start : start + size])


def even(among: int, count: int) -> list[int]:
    """``count`` rows of ``among``, fewer where there are no more, evenly spread from the first to the last."""
    import numpy as np

    return [int(row) for row in np.unique(np.linspace(0, among - 1, min(count, among)).astype(int))] if among else []


def taken(split: Split, rows: Sequence[int]) -> Arrays:
    """Samples of one shape by tensor name, in the order of ``rows``, of which there is one at least."""
    import numpy as np

    if list(rows) == list(range(rows[0], rows[0] + len(rows))):
        return split.inputs(rows[0], rows[0] + len(rows))
    each = [split.inputs(row, row + 1) for row in rows]
    return {name: np.concatenate([one[name] for one in each]) for name in each[0]}


def joined(parts: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Answers one below the other; where they have several shapes, NaN fills each up to the largest size of each axis.

    Raises ValueError where they have not as many axes.
    """
    import numpy as np

    if len({part.shape[1:] for part in parts}) <= 1:
        return np.concatenate(parts)
    sizes = [max(axis) for axis in zip(*(part.shape[1:] for part in parts), strict=True)]
    whole = np.full((sum(map(len, parts)), *sizes), np.nan, dtype=np.result_type(np.float32, *parts))
    start = 0
    for part in parts:
        inside = (slice(start, start + len(part)), *(slice(size) for size in part.shape[1:]))
        whole[inside] = part
        start += len(part)
    return whole
