"""Models that answer quantiles: held against scikit-learn, and what the other metrics of numbers make of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sklearn.metrics

from harness.core.errors import KpiError
from harness.judge.metrics import metrics
from harness.judge.metrics.base import SampleMetric
from harness.measure.records import Outputs
from harness.tasks.regression import Quantiles

SHARES = [0.1, 0.5, 0.9]


def metric(name: str) -> type[SampleMetric]:
    found = metrics()[name]
    assert issubclass(found, SampleMetric)
    return found


def figure(name: str, outputs: Outputs) -> float:
    return float(np.mean(metric(name).scores(outputs, None)))


def forecast(seed: int, shares: list[float], steps: int | None = None, samples: int = 200) -> Outputs:
    chance = np.random.default_rng(seed)
    shape = (samples,) if steps is None else (samples, steps)
    labels = chance.normal(10, 3, shape)
    middle = labels + chance.normal(0, 1, shape)
    answers = np.stack([middle + 3 * (share - 0.5) for share in shares], axis=-1)
    return Outputs(answers.astype(np.float32), labels, task={"quantiles": shares})


@pytest.mark.parametrize("steps", [None, 4])
@pytest.mark.parametrize("shares", [SHARES, [0.25, 0.75], [0.5]])
def test_the_loss_is_scikit_learns(steps: int | None, shares: list[float]) -> None:
    found = forecast(0, shares, steps)
    wanted = [
        sklearn.metrics.mean_pinball_loss(found.labels, found.logits[..., place].astype(np.float64), alpha=share)
        for place, share in enumerate(shares)
    ]
    assert figure("error.pinball", found) == pytest.approx(np.mean(wanted))


def test_labels_of_one_column() -> None:
    found = forecast(1, SHARES)
    column = Outputs(found.logits, found.labels[:, None], task=found.task)
    assert figure("error.pinball", column) == pytest.approx(figure("error.pinball", found))


@pytest.mark.parametrize("name", ["error.mae", "error.rmse", "error.r2"])
def test_the_other_figures_are_of_the_median(name: str) -> None:
    found = forecast(2, SHARES, 3)
    plain = Outputs(found.logits[..., 1], found.labels)
    assert figure(name, found) == pytest.approx(figure(name, plain))
    with pytest.raises(KpiError, match="none of them is the median"):
        figure(name, forecast(2, [0.1, 0.9]))


def test_what_does_not_fit_is_told() -> None:
    found = forecast(3, SHARES)
    with pytest.raises(KpiError, match="nothing says which quantiles"):
        figure("error.pinball", Outputs(found.logits, found.labels))
    for task in ({"quantiles": [0.1, 0.9]}, {"quantiles": [0.5]}):
        with pytest.raises(KpiError, match=r"answers \(3,\) for each sample, the last axis should hold"):
            figure("error.pinball", Outputs(found.logits, found.labels, task=task))
    with pytest.raises(KpiError, match="the labels have 2 for each"):
        figure("error.pinball", Outputs(found.logits, np.stack([found.labels] * 2, axis=1), task=found.task))


def test_quantiles_that_cross_are_noted() -> None:
    found = forecast(4, SHARES)
    assert metric("error.pinball").remarks(found, None) == []
    found.logits[:7] = found.logits[:7, ::-1]
    assert metric("error.pinball").remarks(found, None) == ["quantiles cross on 7 of 200 samples"]


@pytest.mark.parametrize("given", [[0.5, 0.1], [0.5, 0.5], [0.0], [1.0], [50]])
def test_quantiles_that_are_none(given: list[Any]) -> None:
    with pytest.raises(ValueError, match="quantiles must"):
        Quantiles(quantiles=given)
