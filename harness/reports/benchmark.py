"""A timer that replays recorded samples, so that pytest-benchmark shows those that the verdict used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

    from harness.gate import Measured
    from harness.measure.runner import MeasurementRunner
    from harness.spec.model import Target

_OPTIONS = [f"benchmark_{name}" for name in ("json", "save", "autosave", "compare", "histogram", "only")]


class Replay:
    """A timer that advances by the recorded durations, one between each pair of calls."""

    def __init__(self, samples: Sequence[float]) -> None:
        self._samples = iter(samples)
        self._now = 0.0
        self._running = False

    def __call__(self) -> float:
        if self._running:
            self._now += next(self._samples, 0.0)
        self._running = not self._running
        return self._now


def wanted_samples(
    config: pytest.Config, target: Target, finding: Measured, campaign: MeasurementRunner
) -> list[float]:
    """The samples of a latency, when one of pytest-benchmark's options says that they are wanted; else none."""
    wanted = any(config.getoption(name, default=None) for name in _OPTIONS)
    # The second name: where the first is blocked, `-p` brings it back for one run.
    there = any(map(config.pluginmanager.hasplugin, ("benchmark", "pytest_benchmark.plugin")))
    if not (wanted and there) or target.metric.kind() != "latency":
        return []
    series = campaign.series[finding.measurements[0].partition("-")[0]]
    return [sample for record in series.records for sample in record.samples_s]
