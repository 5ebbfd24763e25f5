"""Figures of the whole evaluation set that are not means of scores: known by groups of samples."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from harness.core.score_bounds import Scored
from harness.judge.metrics.base import SampleMetric
from harness.judge.metrics.mixed import effect_on_set, sample_groups


class SetMetric(SampleMetric):
    """A figure of the whole evaluation set that is not a mean of scores: an F1, an AUC, a mean average precision.

    The set is divided into at most ``most_groups`` groups of samples (of clusters, where samples have any), at random
    and always alike. A group's score is what the figure would be without it, weighed against the whole (the jackknife's
    pseudo-value, Tukey 1958, moved so that their mean is the figure itself); comparisons and bounds are those of means
    of such scores over groups. Nothing is known of other data where they rest on fewer than 100 groups.
    """

    ends = (-math.inf, math.inf)
    jackknife = True
    most_groups: ClassVar[int] = 200

    @classmethod
    @abstractmethod
    def of(cls, outputs: Any, reference: Any, places: Sequence[int]) -> float:
        """The figure of the samples at these places; KpiError where they have none."""

    @classmethod
    def count(cls, outputs: Any) -> int:
        """How many samples there are: as many as labels, unless ``scored`` is given something else."""
        return len(outputs.labels)

    @classmethod
    def figure(cls, outputs: Any, reference: Any) -> float:
        return cls.of(outputs, reference, range(cls.count(outputs)))

    @classmethod
    def scores(cls, outputs: Any, reference: Any) -> list[float]:
        return list(cls.scored(outputs, reference, None).scores)

    @classmethod
    def scored(cls, outputs: Any, reference: Any, clusters: Sequence[int] | None) -> Scored:
        groups = sample_groups(cls.count(outputs), clusters, cls.most_groups)
        everything = range(len(groups))
        whole, count = cls.of(outputs, reference, everything), len(set(groups))
        if count == 1:
            return Scored([whole] * len(groups), groups=groups)
        without = {
            group: cls.of(outputs, reference, [place for place in everything if groups[place] != group])
            for group in set(groups)
        }
        middle = math.fsum(without.values()) / count
        # Samples of one group share its score; a group of more samples counts as much as it has.
        value = {group: whole + (count - 1) * (middle - left) for group, left in without.items()}
        scores = [value[group] for group in groups]
        shift = whole - math.fsum(scores) / len(scores)
        return Scored([score + shift for score in scores], groups=groups)

    @classmethod
    def effect(cls, outputs: Any, reference: Any, clusters: Sequence[int] | None) -> float:
        return effect_on_set(cls, outputs, reference, clusters)
