"""Enlarges and reduces maps linearly, by weights for their rows and columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.float64]


def spread(few: int, many: int) -> Array:
    """Weights (many, few) that make ``many`` rows of ``few``, as PyTorch's bilinear ``interpolate`` does by default."""
    import numpy as np

    return between((np.arange(many) + 0.5) * few / many - 0.5, few)


def between(points: Array, count: int) -> Array:
    """Weights (points, count) of the two neighbours of each point, 0 is the middle of the first; ends are clamped."""
    import numpy as np

    inside = np.clip(points, 0, count - 1)
    first = np.minimum(inside.astype(int), max(count - 2, 0))
    rest, rows = inside - first, np.arange(len(inside))
    weights = np.zeros((len(inside), count))
    weights[rows, first] = 1 - rest
    weights[rows, np.minimum(first + 1, count - 1)] += rest
    return weights
