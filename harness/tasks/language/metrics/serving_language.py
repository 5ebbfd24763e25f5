"""How a served language model answers under load: tokens, their times, what is in time, what fails."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from harness.core.errors import KpiError
from harness.core.units import REQUEST_RATE, SHARE, TOKEN_RATE
from harness.judge.metrics.base import ProcessMetric
from harness.judge.metrics.latency import Latency
from harness.spec.tasks import PROMPTS

if TYPE_CHECKING:
    from harness.measure.records import ProcessRecord


def _series(process: ProcessRecord, name: str) -> Sequence[float]:
    values = process.series.get(name, ())
    if not values:
        if process.details.get("driver") == "ab":
            remedy = 'use driver = "aiohttp"'
        else:
            remedy = "raise load.tokens" if process.details.get("stream", True) else "set load.stream = true"
        raise KpiError(f"the answers under load have no {name}", remedy)
    return values


def _content_times(process: ProcessRecord) -> Sequence[float]:
    """KpiError where answers ended in their thoughts: the percentile of the others would be that of short thoughts."""
    missing = process.completed - len(process.series.get("ttft_content_s", ()))
    if process.series.get("ttft_s") and missing:
        raise KpiError(
            f"{missing} of {process.completed} answers under load ended in their thoughts", "raise load.tokens"
        )
    return _series(process, "ttft_content_s")


class _ServedSeries(Latency):
    """A time per request that the load's client took; ``series`` is its name there."""

    scenario = "load"
    tasks = PROMPTS
    series: ClassVar[str]

    @classmethod
    def values(cls, process: ProcessRecord) -> Sequence[float]:
        return _series(process, cls.series)


class ServingTtftP50(_ServedSeries):
    """Median time from when a request was due to its first text, thoughts included, over the wire."""

    name = "serving.ttft.p50"
    drawn = True
    title = "median time to first token under load"
    series = "ttft_s"
    quantile = 0.50


class ServingTtftP99(_ServedSeries):
    """The 99th percentile of the same, with its exact binomial bounds."""

    name = "serving.ttft.p99"
    title = "99th percentile of time to first token under load"
    series = "ttft_s"
    quantile = 0.99


class _Content(Latency):
    scenario = "load"
    tasks = PROMPTS

    @classmethod
    def values(cls, process: ProcessRecord) -> Sequence[float]:
        return _content_times(process)


class ServingTtftContentP50(_Content):
    """Median time from when a request was due to the first text of its answer, the thoughts before it left out."""

    name = "serving.ttft_content.p50"
    drawn = True
    title = "median time to first token of the answer under load"
    quantile = 0.50


class ServingTtftContentP99(_Content):
    """The 99th percentile of the same, with its exact binomial bounds."""

    name = "serving.ttft_content.p99"
    title = "99th percentile of time to first token of the answer under load"
    quantile = 0.99


class ServingTpotP50(_ServedSeries):
    """Median over requests of (time of the last piece - time of the first text) / (tokens - 1)."""

    name = "serving.tpot.p50"
    drawn = True
    title = "median time per output token under load"
    series = "tpot_s"
    quantile = 0.50


class ServingTpotP99(_ServedSeries):
    """The 99th percentile of the same, with its exact binomial bounds."""

    name = "serving.tpot.p99"
    title = "99th percentile of time per output token under load"
    series = "tpot_s"
    quantile = 0.99


class _Serving(ProcessMetric):
    drawn = True
    scenario: ClassVar[str | None] = "load"
    tasks = PROMPTS


class ServingTokens(_Serving):
    """Formula: tokens of all answers / seconds from when the first request was due to the last one's end."""

    name = "serving.tokens"
    title = "tokens per second under load"
    dimension = TOKEN_RATE
    better = "higher"

    @classmethod
    def of(cls, process: ProcessRecord) -> float:
        return sum(_series(process, "tokens")) / process.elapsed_s


class ServingGoodput(_Serving):
    """Formula: requests answered within the scenario's limits / seconds, as of throughput."""

    name = "serving.goodput"
    title = "requests answered in time"
    dimension = REQUEST_RATE
    better = "higher"

    @classmethod
    def of(cls, process: ProcessRecord) -> float:
        return float(process.details["in_time"]) / process.elapsed_s


class ServingErrors(_Serving):
    """Formula: requests that were not answered, or not wholly / requests sent."""

    name = "serving.errors"
    title = "requests that fail under load"
    dimension = SHARE
    better = "lower"
    range = (0.0, 1.0)

    @classmethod
    def of(cls, process: ProcessRecord) -> float:
        if process.details["driver"] == "ab":
            raise KpiError("ab does not see answers that are cut off or wrong", 'use driver = "aiohttp"')
        return float(process.details["failed"]) / float(process.details["sent"])


class ServingCapacity(_Serving):
    """The largest rate of random arrivals at which every request is answered, the percentile within the limit."""

    name = "serving.capacity"
    drawn = True
    title = "largest load in time"
    dimension = REQUEST_RATE
    better = "higher"
    scenario = "capacity"

    @classmethod
    def of(cls, process: ProcessRecord) -> float:
        return float(process.details["capacity"])
