"""How near vectors are to one another, by their cosine, in parts that fit into memory whatever their number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Rows = npt.NDArray[np.floating[Any]]
    Counts = npt.NDArray[np.int64]

_MOST = 1 << 24
"""So many cosines are looked at at once."""
_ROUNDING = 1e-5
BINS = 1 << 14
"""Cosines that are counted are told apart by so many steps from the least to the greatest."""


def unit(vectors: npt.NDArray[Any]) -> Rows:
    """The vectors, (n, values), in length 1; one of zeros stays as it is."""
    import numpy as np

    rows = np.asarray(vectors, dtype=np.float64)
    sizes = np.linalg.norm(rows, axis=1, keepdims=True)
    found: Rows = (rows / np.where(sizes == 0, 1, sizes)).astype(np.float32)
    return found


def ranks(vectors: npt.NDArray[Any], identities: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """For each sample how many of other identities are as near as the nearest of its own, (n,); -1 without another one.

    A sample is not compared with itself. Other identities that are just as near count: vectors that are all alike find
    nothing.
    """
    import numpy as np

    rows, found = unit(vectors), np.full(len(vectors), -1, dtype=np.int64)
    for part in _parts(np.arange(len(rows)), len(rows)):
        near = rows[part] @ rows.T
        own = identities[part][:, None] == identities[None, :]
        own[np.arange(len(part)), part] = False
        best = np.where(own, near, -np.inf).max(axis=1)
        own[np.arange(len(part)), part] = True
        before = ((near >= best[:, None]) & ~own).sum(axis=1)
        found[part] = np.where(np.isfinite(best), before, -1)
    return found


def by_chance(identities: npt.NDArray[Any], at: int) -> Rows:
    """How likely one of ``at`` others, taken at random, is of a sample's identity; of samples that have such others."""
    import numpy as np

    _, which, counts = np.unique(identities, return_inverse=True, return_counts=True)
    others, own = len(identities) - 1, counts[which][counts[which] > 1] - 1
    none = np.ones(len(own))
    for taken in range(min(at, others)):
        none *= np.maximum(others - own - taken, 0) / (others - taken)
    return 1 - none


class Pairs:
    """All pairs of two samples, counted by their cosine: those of one identity, and the others.

    ``groups`` has the group of each sample, so that the pairs without one of them are known too.
    """

    def __init__(self, vectors: npt.NDArray[Any], identities: npt.NDArray[Any], groups: Sequence[int]) -> None:
        import numpy as np

        self.groups = list(groups)
        rows, which = unit(vectors), np.asarray(self.groups)
        self._names = sorted(set(self.groups))
        near = (rows[part] @ rows.T for part in _parts(np.arange(len(rows)), len(rows)))
        ends = np.array([(one.min(), one.max()) for one in near], dtype=np.float64)
        # In double precision a cosine is in the same step whatever it is computed together with.
        rows, least, most = rows.astype(np.float64), ends[:, 0].min() - _ROUNDING, ends[:, 1].max() + _ROUNDING
        scale = (BINS - 1) / (most - least)
        touching = np.zeros((len(self._names), 2, BINS), dtype=np.int64)
        within = np.zeros_like(touching)
        for number, name in enumerate(self._names):
            members = np.flatnonzero(which == name)
            for part in _parts(members, len(rows)):
                place = ((rows[part] @ rows.T - least) * scale).astype(np.int32)
                place += BINS * (identities[part][:, None] == identities[None, :])
                itself = place[np.arange(len(part)), part]
                for counts, chosen in ((touching, place), (within, place[:, members])):
                    counts[number] += (_counted(chosen) - _counted(itself)).reshape(2, BINS)
        self._all = touching.sum(axis=0) // 2
        self._without = self._all - (touching - within // 2)

    def error_rate(self, left: Sequence[int] = ()) -> float:
        """The equal error rate, without the pairs that samples of the group in ``left`` are in; NaN without pairs.

        At the threshold where as large a share of pairs of one identity is below it as of others at or above it, by
        linear interpolation between two steps.
        """
        import numpy as np

        others, same = self._without[self._names.index(left[0])] if left else self._all
        if not same.sum() or not others.sum():
            return float("nan")
        refused = np.concatenate([[0], np.cumsum(same)]) / same.sum()
        taken = 1 - np.concatenate([[0], np.cumsum(others)]) / others.sum()
        apart = refused - taken
        after = int((apart >= 0).argmax())
        share = -apart[after - 1] / (apart[after] - apart[after - 1])
        return float(refused[after - 1] + share * (refused[after] - refused[after - 1]))


def _parts(rows: npt.NDArray[np.intp], count: int) -> Iterator[npt.NDArray[np.intp]]:
    """The rows in parts of which each may be compared with ``count`` others at once."""
    size = max(1, _MOST // count)
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def _counted(places: npt.NDArray[np.int32]) -> Counts:
    import numpy as np

    return np.bincount(places.ravel(), minlength=2 * BINS)
