"""Where a target's figures moved, over all runs of a machine: small steps that no two neighbouring runs show."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.core.statistics import median
from harness.evidence.history.points import Point
from harness.judge.verdict import Basis

LEVEL = 0.01
"""How often runs that did not move are said to have, for each series of runs."""
_FEWEST, _SIDE, _SHUFFLES = 8, 3, 1999
_LONGEST = 300
"""Of more runs the library takes too long: its time grows with the square of their number."""


@dataclass(frozen=True, slots=True)
class Shift:
    """Figures moved between two runs: ``at`` is the first run of the new level.

    ``before`` and ``since`` are the medians of the runs up to the neighbouring shifts, in the unit of the points.
    """

    at: Point
    before: float
    since: float
    runs_before: int
    runs_since: int


def series_of(points: Sequence[Point]) -> Iterator[list[Point]]:
    """The points of one target on one machine, oldest first; what is known of it, whole runs or not.

    Another recipe with the same name, another bound on the same figure belong to the same series.
    """
    found: dict[tuple[str | None, ...], list[Point]] = {}
    for point in sorted(points, key=lambda point: point.started):
        if math.isfinite(point.value):
            key = (point.machine, point.kpi, point.metric, point.relation, point.versus, point.unit)
            own = found.setdefault(key, [])
            if not own or own[-1].run != point.run:
                own.append(point)
    yield from found.values()


def shifts(points: Sequence[Point]) -> list[Shift]:
    """The change points of one series of runs, oldest first; a warning, never a verdict.

    Ranks of the figures before and after each place are compared (the largest standardized sum of ranks); the runs in
    random order say how large it gets by chance. Each side is then searched in the same way, while it has 8 runs.
    Figures without noise, such as a size, move where they differ.
    """
    values = np.array([point.value for point in points])
    if not points:
        return []
    if all(point.of == Basis.EXACT for point in points):
        places = [i for i in range(1, len(values)) if values[i] != values[i - 1]]
    else:
        places = sorted(_places(values, 0, len(values)))
    edges = [0, *places, len(values)]
    return [
        Shift(
            points[here],
            median(values[edges[k] : here].tolist()),
            median(values[here : edges[k + 2]].tolist()),
            here - edges[k],
            edges[k + 2] - here,
        )
        for k, here in enumerate(places)
    ]


def second_opinion(points: Sequence[Point], found: Sequence[Shift]) -> list[Point]:
    """Where the library ruptures puts as many changes of the same series: the best of all placements, by ranks.

    It says where, not whether: how often it would find some by chance is not known. Empty where the figures are exact
    or the library is not installed.
    """
    if not found or len(points) > _LONGEST or all(point.of == Basis.EXACT for point in points):
        return []
    try:
        import ruptures
    except ImportError:
        return []
    values = np.array([point.value for point in points])
    search = ruptures.Dynp(model="rank", min_size=_SIDE, jump=1).fit(values.reshape(-1, 1))
    return [points[place] for place in search.predict(n_bkps=len(found))[:-1]]


def _places(values: npt.NDArray[np.float64], start: int, end: int) -> Iterator[int]:
    """Where a part of the series moves, in it and in the parts that this leaves."""
    if end - start < _FEWEST:
        return
    ranks = _ranks(values[start:end])
    own = _sums(ranks[None, :])[0]
    random = np.random.default_rng(end - start)  # the same history says the same each time
    shuffled = random.permuted(np.tile(ranks, (_SHUFFLES, 1)), axis=1)
    by_chance = np.count_nonzero(_sums(shuffled).max(axis=1) >= own.max() - 1e-9)
    if (by_chance + 1) / (_SHUFFLES + 1) > LEVEL:
        return
    place = start + _SIDE + int(own.argmax())
    yield place
    yield from _places(values, start, place)
    yield from _places(values, place, end)


def _ranks(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    from scipy.stats import rankdata

    ranks: npt.NDArray[np.float64] = rankdata(values)
    ranks -= ranks.mean()
    return ranks


def _sums(ranks: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """For each row, how far the sum of the first ranks is from chance, in standard deviations, at each place.

    (rows, n) becomes (rows, n - 5): at least three runs are on either side.
    """
    n = ranks.shape[1]
    counts = np.arange(1, n)
    sums: npt.NDArray[np.float64] = np.abs(np.cumsum(ranks, axis=1)[:, :-1]) / np.sqrt(counts * (n - counts))
    return sums[:, _SIDE - 1 : n - _SIDE]
