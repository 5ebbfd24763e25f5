"""What one sample can do to a figure: it is answered as another sample is, and the figure is computed again.

Where two recipes differ on few samples, or on none, the samples alone do not say how far they are apart on others. It
takes an assumption about those on which they would differ: each costs no more than the worst mix-up of two answers.
"""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from harness.core.errors import KpiError
from harness.measure.records import Outputs

if TYPE_CHECKING:
    from harness.judge.metrics.base import SampleMetric
    from harness.judge.metrics.whole_set import SetMetric

_MOST, _LOOKED = 200, 400
"""So many groups, then so many samples of those that count most: each takes the figure once."""


def sample_groups(count: int, clusters: Sequence[int] | None, most: int) -> list[int]:
    """The number of the group of each of ``count`` samples; those of one cluster are together."""
    units = list(range(count)) if clusters is None else list(clusters)
    names = sorted(set(units))
    order = list(range(len(names)))
    random.Random(len(names)).shuffle(order)  # noqa: S311 - the same groups for every recipe
    number = {name: place % most for name, place in zip(names, order, strict=True)}
    return [number[unit] for unit in units]


def twice(outputs: Any) -> Outputs | None:
    """The samples, then all of them again, each with the answer to another; None where answers are no such arrays."""
    import numpy as np

    if not isinstance(outputs, Outputs) or len(outputs.labels) < 2:  # noqa: PLR2004 - another one
        return None
    count = len(outputs.labels)
    order = np.random.default_rng(count).permutation(count)
    others = np.empty(count, np.intp)
    others[order] = np.roll(order, 1)  # one circle through all: none keeps its own
    return replace(
        outputs,
        logits=np.concatenate([outputs.logits, outputs.logits[others]]),
        labels=np.concatenate([outputs.labels, outputs.labels]),
        slices=None,
    )


def effect_on_mean(metric: type[SampleMetric], outputs: Any, reference: Any, clusters: Sequence[int] | None) -> float:
    """The most that one sample (or cluster) with other answers moves a mean of scores; infinite where not known."""
    both = None if reference is not None else twice(outputs)
    if both is None or metric.weights(both) is not None:
        return math.inf
    try:
        scores = metric.scores(both, None)
    except KpiError:
        return math.inf  # these answers have no scores
    count = len(scores) // 2
    moved = [after - before for before, after in zip(scores[:count], scores[count:], strict=True)]
    return _known(abs(math.fsum(moved[place] for place in unit)) / count for unit in _together(clusters, count))


def effect_on_set(metric: type[SetMetric], outputs: Any, reference: Any, clusters: Sequence[int] | None) -> float:
    """The same of a figure of the whole set.

    Where there are many samples, groups of them are looked at first, then those of the groups that count most.
    """
    both = None if reference is not None else twice(outputs)
    if both is None:
        return math.inf
    count = len(both.labels) // 2
    whole = metric.of(both, None, range(count))

    def moved(unit: Iterable[int]) -> float:
        inside = set(unit)
        return abs(metric.of(both, None, [place + count * (place in inside) for place in range(count)]) - whole)

    try:
        units = list(_together(clusters, count))
        if len(units) > _MOST:
            groups = sample_groups(count, clusters, _MOST)
            first = sorted(_together(groups, count), key=moved, reverse=True)
            looked = {place for group in first[: max(1, _LOOKED * _MOST // len(units))] for place in group}
            units = [unit for unit in units if unit[0] in looked]
        return _known(map(moved, units))
    except KpiError:
        return math.inf  # no figure of some of these


def _together(units: Sequence[Hashable] | None, count: int) -> Collection[list[int]]:
    """The places of each unit."""
    found: dict[Hashable, list[int]] = defaultdict(list)
    for place, name in enumerate(range(count) if units is None else units):
        found[name].append(place)
    return found.values()


def _known(effects: Iterable[float]) -> float:
    """The greatest; answers that move nothing when they are mixed up say nothing of what could."""
    return max(effects) or math.inf
