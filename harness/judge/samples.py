"""How many samples a process must give for the targets that rest on it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from harness.judge.metrics.base import ProcessMetric
from harness.spec.model import Spec


def samples_per_scenario(spec: Spec) -> Mapping[tuple[str, str], int]:
    """How many samples a process must give, by recipe and scenario: the most that any target asks."""
    most: dict[tuple[str, str], int] = defaultdict(lambda: spec.measure.samples)
    for target in spec.targets:
        metric = target.metric
        if issubclass(metric, ProcessMetric):
            for recipe in spec.recipes_of(target):
                key = (recipe.key, spec.scenario(target))
                most[key] = max(most[key], metric.least_samples(spec.measure.confidence))
    return most
