"""Any percentile of a series of times is a metric, refused where a process has too few samples."""

from __future__ import annotations

import pytest

from harness.core.errors import KpiError
from harness.core.statistics import percentile, samples_needed
from harness.judge.metrics import metrics
from harness.judge.metrics.latency import Latency, LatencyP95
from harness.measure.records import ProcessRecord, Proof


def record(samples: int) -> ProcessRecord:
    times = tuple(0.001 * (1 + number % 97) for number in range(samples))
    proof = Proof("r", "1", "CPU", "f32")
    series = dict.fromkeys(("ttft_s", "tpot_s"), times) | {"audio_s": (2.0,) * samples}
    return ProcessRecord("", 1.0, 0.1, 0.01, 1, 2, proof, samples_s=times, series=series)


@pytest.mark.parametrize(
    ("name", "scenario", "over"),
    [
        ("latency.p90", "single-stream", 1.0),
        ("latency.p99.9", "single-stream", 1.0),
        ("latency.generate.p95", "generate", 1.0),
        ("ttft.p95", "generate", 1.0),
        ("tpot.p75", "generate", 1.0),
        ("serving.ttft.p90", "load", 1.0),
        ("serving.latency.p99.5", "server", 1.0),
        ("latency.audio_second.p90", "transcribe", 2.0),
        ("latency.frame.p99.9", "stream", 1.0),
    ],
)
def test_any_percentile_may_be_promised(name: str, scenario: str, over: float) -> None:
    metric = metrics()[name]
    assert issubclass(metric, Latency)
    assert (metric.name, metric.scenario) == (name, scenario)
    quantile = float(name.rpartition(".p")[2]) / 100
    many = record(4000)
    assert metric.of(many) == pytest.approx(percentile(many.samples_s, quantile) / over)
    low, high = metric.bounds(many, 0.97)
    assert low <= metric.of(many) <= high
    needed = samples_needed(quantile, 0.97)
    # Twice as many, since slow requests follow one another.
    assert metric.least_samples(0.97) == 2 * needed
    with pytest.raises(KpiError, match=f"{name} at 97 % confidence needs {needed} samples of a process, not"):
        metric.bounds(record(needed - 1), 0.97)


def test_a_percentile_with_a_class_of_its_own_is_that_class() -> None:
    assert metrics()["latency.p95"] is LatencyP95
    assert metrics()["latency.p90"] is metrics()["latency.p90"]


@pytest.mark.parametrize("name", ["size.p90", "latency.p10", "latency.p100", "latency.p9", "accuracy.top1.p90", "p90"])
def test_what_is_no_percentile_of_a_series_is_unknown(name: str) -> None:
    assert name not in metrics()
    assert metrics().get(name) is None


def test_only_what_has_a_class_is_listed() -> None:
    assert metrics()["latency.p97"] is not None
    assert "latency.p97" not in list(metrics())
