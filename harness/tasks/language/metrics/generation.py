"""How fast a language model answers: time to the first token, time per token, tokens per second."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.core.units import TOKEN_RATE
from harness.judge.metrics.base import ProcessMetric
from harness.judge.metrics.latency import Latency
from harness.spec.tasks import PROMPTS

if TYPE_CHECKING:
    from harness.measure.records import ProcessRecord


class _Generation(ProcessMetric):
    """Over all requests of a process; the evidence keeps them with their prompt lengths."""

    scenario = "generate"
    tasks = PROMPTS


class _Time(Latency):
    scenario = "generate"
    tasks = PROMPTS
    quantile = 0.50


class Ttft(_Time):
    """Formula: the median time from a prompt's text to its first token, by the runtime's own clock."""

    name = "ttft"
    title = "time to first token"

    @classmethod
    def values(cls, process: ProcessRecord) -> Sequence[float]:
        return process.series["ttft_s"]


class Tpot(_Time):
    """Formula: the median over requests of (time of the answer - time to first token) / (tokens - 1)."""

    name = "tpot"
    title = "time per output token"

    @classmethod
    def values(cls, process: ProcessRecord) -> Sequence[float]:
        return process.series["tpot_s"]


class LatencyGenerate(_Time):
    """Formula: the median time from a prompt's text to the whole answer, by the clock on the wall."""

    name = "latency.generate"
    title = "time of an answer"


class ThroughputTokens(_Generation):
    """Formula: tokens generated / seconds from the first request's start to the last one's end."""

    name = "throughput.tokens"
    title = "tokens per second"
    dimension = TOKEN_RATE
    better = "higher"

    @classmethod
    def of(cls, process: ProcessRecord) -> float:
        return process.completed / process.elapsed_s
