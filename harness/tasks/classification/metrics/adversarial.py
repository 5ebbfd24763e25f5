"""How the artifact behaves on inputs that no data set holds."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from harness.core.units import COUNT
from harness.judge.metrics.base import ProofMetric
from harness.tasks.classification import CLASSIFICATION

if TYPE_CHECKING:
    from harness.measure.records import ProcessRecord


class ParityAdversarial(ProofMetric):
    """Formula: the number of properties falsified by generated inputs (black, white, noise, extremes, any batch).

    The properties: every output is finite; a sample's output does not depend on its place in the batch or on its
    neighbours; the same input gives the same output. The evidence names the input that broke one.
    """

    name = "parity.adversarial"
    title = "properties broken by adversarial inputs"
    dimension = COUNT
    better = "lower"
    tasks = CLASSIFICATION
    scenario = "adversarial"
    range = (0.0, math.inf)

    @classmethod
    def of(cls, process: ProcessRecord) -> float:
        return float(len(process.violations))
