"""How fast a language model answers: time to the first token, time per token, tokens per second."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from harness.core.statistics import median
from harness.core.units import TOKEN_RATE
from harness.judge.metrics.base import ProcessMetric
from harness.judge.metrics.latency import Latency
from harness.spec.tasks import PROMPTS

if TYPE_CHECKING:
    from harness.measure.records import Measurement, ProcessRecord


class _Generation(ProcessMetric):
    """Over all requests of a process; the evidence keeps them with their prompt lengths."""

    scenario = "generate"
    tasks = PROMPTS


class _Time(Latency):
    scenario = "generate"
    tasks = PROMPTS
    quantile = 0.50


class _TimeOfTokens(_Time):
    """A time that depends on how long the prompt is: each length has a value of its own too."""

    @classmethod
    def by_request(cls, measurement: Measurement) -> Mapping[str, float]:
        """The median process's own median, by the number of words, where there are several."""
        records = [record for record in measurement.processes if cls.series in record.series]
        lengths = sorted({words for record in records for words in record.series.get("words", ())})
        found: dict[str, float] = {}
        for length in lengths if len(lengths) > 1 else ():
            own = [
                [time for time, words in zip(r.series[cls.series], r.series["words"], strict=True) if words == length]
                for r in records
            ]
            found[f"{length:.0f} words"] = median([median(times) for times in own if times])
        return found

    series: ClassVar[str]

    @classmethod
    def values(cls, process: ProcessRecord) -> Sequence[float]:
        return process.series[cls.series]


class Ttft(_TimeOfTokens):
    """Formula: the median time from a prompt's text to its first token, by the runtime's own clock."""

    name = "ttft"
    title = "time to first token"
    series = "ttft_s"


class Tpot(_TimeOfTokens):
    """Formula: the median over requests of (time of the answer - time to first token) / (tokens - 1)."""

    name = "tpot"
    title = "time per output token"
    series = "tpot_s"


class LatencyGenerate(_Time):
    """Formula: the median time from a prompt's text to the whole answer, by the clock on the wall."""

    name = "latency.generate"
    drawn = True
    title = "time of an answer"


class ThroughputTokens(_Generation):
    """Formula: tokens generated / seconds from the first request's start to the last one's end."""

    name = "throughput.tokens"
    drawn = True
    title = "tokens per second"
    dimension = TOKEN_RATE
    better = "higher"

    @classmethod
    def of(cls, process: ProcessRecord) -> float:
        return process.completed / process.elapsed_s
