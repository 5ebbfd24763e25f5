"""Whether a recipe that others are compared with knows anything: else a comparison with it proves nothing."""

from __future__ import annotations

import statistics
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

from harness.core.errors import KpiError
from harness.judge.metrics.base import SampleMetric

if TYPE_CHECKING:
    from harness.core.bounds import Bound
    from harness.measure.records import Outputs

_LEAST, _MOST, _TIMES = 20, 300, 10
_SPREADS = 3
"""So many standard deviations are beyond what shuffled labels give by chance."""
_KNOWN: deque[tuple[Outputs, str]] = deque(maxlen=4)
"""The last outputs that were found to know something: each target asks, one of every class for each class."""
_REMEDY = "check its labels, what its inputs are made with, and its weights"


def check_better_than_shuffled(metric: type[SampleMetric], outputs: Outputs, recipe: str, most: int = _MOST) -> None:
    """Raises KpiError where answers score no better than they would with the labels of other samples.

    Labels are shuffled ten times, always alike, among at most ``most`` samples; answers must be better than the best
    that they give by more than three standard deviations. Of fewer than 20 samples nothing is said:
    a comparison is not decided by so few.
    """
    import numpy as np

    if any(one is outputs and name == metric.name for one, name in _KNOWN):
        return
    chance = np.random.default_rng(1)
    rows = np.sort(chance.permutation(len(outputs.labels))[:most])
    if len(rows) < _LEAST:
        return
    part = replace(outputs, logits=outputs.logits[rows], labels=outputs.labels[rows], slices=None)
    own = metric.figure(part, None)
    orders = (chance.permutation(len(rows)) for _ in range(_TIMES))
    mixed = [metric.figure(replace(part, labels=part.labels[order]), None) for order in orders]
    luck = _SPREADS * statistics.stdev(mixed)
    least = max(mixed) + luck if metric.better == "higher" else min(mixed) - luck
    check_better_than(metric, own, least, recipe, "the same answers to other samples, with luck,")
    _KNOWN.append((outputs, metric.name))


def check_better_than(metric: type[SampleMetric], own: float, least: float, recipe: str, who: str) -> None:
    """Raises KpiError where a recipe's figure is no better than ``least``, that of ``who``, which knows nothing."""
    if own > least if metric.better == "higher" else own < least:
        return
    raise KpiError(
        f"{recipe} has {metric.dimension.format(own)} {metric.title}, {who} would have "
        f"{metric.dimension.format(least)}: a comparison with it proves nothing",
        _REMEDY,
    )


def check_can_fail(metric: type[SampleMetric], bound: Bound, recipe: str, mean: float) -> None:
    """Raises KpiError where the worst score that there is would keep a bound on a drop from a recipe's ``mean``.

    Of a part of the samples nothing is said: a class that a recipe hardly knows can't lose much.
    """
    if hasattr(metric, "whole"):
        return
    worst = metric.range[0 if metric.better == "higher" else 1]
    if bound.relation == "drop" and bound.upper and bound.holds(abs(mean - worst)):
        raise KpiError(
            f"{recipe} has {metric.dimension.format(mean)} {metric.title}: no artifact could miss {bound.text!r}",
            f"{_REMEDY}, or write a bound that something can miss",
        )
