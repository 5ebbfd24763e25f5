"""How an artifact serves several clients at once."""

from __future__ import annotations

from harness.core.units import REQUEST_RATE
from harness.judge.metrics.latency import LatencyP50, LatencyP99
from harness.judge.metrics.throughput import ThroughputSingle
from harness.spec.tasks import PROMPTS, TENSORS


class ServingLatencyP50(LatencyP50):
    """Median time of a request while others are under way: as many as there are clients, or as come at random.

    Of requests that were answered; a language model's are asked over HTTP, under the scenario ``load``.
    """

    name = "serving.latency.p50"
    title = "median latency under load"
    scenario = "server"
    tasks = TENSORS | PROMPTS


class ServingLatencyP99(LatencyP99):
    """The 99th percentile of the same, with its exact binomial bounds."""

    name = "serving.latency.p99"
    title = "99th percentile of latency under load"
    scenario = "server"
    tasks = TENSORS | PROMPTS


class ServingThroughput(ThroughputSingle):
    """Requests answered / seconds from the first one's start to the last one's end, over all clients."""

    name = "serving.throughput"
    title = "throughput under load"
    dimension = REQUEST_RATE
    scenario = "server"
    tasks = TENSORS | PROMPTS
