"""How far forecasts are off."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness import NUMBER, KpiError, SampleMetric


class Mase(SampleMetric):
    """Formula: mean of |forecast - value| / mean of |value - the value before|. Hyndman and Koehler 2006.

    Below 1 it is better than saying that nothing will change.
    """

    name = "error.mase"
    title = "mean absolute scaled error"
    dimension = NUMBER
    better = "lower"
    scenario = "forecast"
    worthless = 1.0
    tasks = frozenset({"forecasting"})

    @classmethod
    def scores(cls, outputs: dict[str, Any], reference: object) -> list[float]:
        del reference
        naive = float(np.abs(outputs["wanted"] - outputs["last"]).mean())
        if not naive:
            raise KpiError("the evaluation series never changes", "choose one that does")
        scores: list[float] = (np.abs(outputs["answers"] - outputs["wanted"]) / naive).tolist()
        return scores
