"""The formulas of ``replay.py``, in plain Python: figures of processes, quantiles, bounds of scores, errors of looks.

Figures are in base units: seconds, bytes, joules, USD, a second's samples, requests or tokens, shares of 1. Every bound
is one-sided with the given confidence (0.97 is 97 %). All of it is described in docs/evidence.md.
"""

import math
import operator
import re
from collections.abc import Callable, Hashable, Sequence
from functools import cache
from statistics import NormalDist
from typing import Any

from replay_quantiles import percentile, tail_bounds, tail_correlation
from replay_shares import TINY, crossing, paired_ratio, tango, wilson

Json = dict[str, Any]
Bounds = tuple[float, float]
Estimate = tuple[float, float, float]  # of a process: its own value, the lowest and the highest that it speaks for
Judged = tuple[str, float, float, float, int]  # verdict, value, low, high, n
METHOD = "score intervals, 3"  # how these bounds are made; evidence of an earlier version made them otherwise
LEAST_GROUPS = 100  # fewer that stand out say nothing of a jackknifed figure
LEAST_UNITS = 50  # fewer that differ from 0 say nothing of scores without ends


class NoFigure(Exception):
    """What was measured does not give the figure, so that there can be no verdict of it."""


def series(process: Json, name: str) -> Sequence[float]:
    """A number for each request of a process, such as its seconds."""
    found: Sequence[float] = process["samples_s"] if name == "samples_s" else process["series"].get(name, ())
    cut = name == "ttft_content_s" and process["series"].get("ttft_s") and len(found) < process["completed"]
    if not found or cut:
        raise NoFigure(f"a process has {len(found)} {name} for {process['completed']} requests")
    return found


def joules(process: Json) -> float:
    """Joules of all counters while the process was timed; those of GPUs count only where it ran on one."""
    found: dict[str, float] = ((process["system"].get("window") or {}).get("energy") or {}).get("joules", {})
    on_gpu = process["proof"]["device"].lower().startswith(("gpu", "cuda"))
    if not any(name.startswith("nvidia") is on_gpu for name in found):
        raise NoFigure("a process shows no counter of energy")
    return sum(value for name, value in found.items() if on_gpu or not name.startswith("nvidia"))


def failures(process: Json) -> float:
    """Requests that were not answered."""
    if process["details"]["driver"] == "ab":
        raise NoFigure("ApacheBench does not see every request that fails")
    return float(process["details"]["failed"])


def integer_share(proof: Json) -> float:
    """The share of multiplications, or of operations where these are not known, that ran in integers."""
    if proof["heavy_ops"] is None or proof["integer_ops"] is None:
        raise NoFigure("the runtime does not say which operations run in integers")
    kind = "work" if proof.get("heavy_work") and proof.get("integer_work") is not None else "ops"
    return float(proof[f"integer_{kind}"] / proof[f"heavy_{kind}"]) if proof[f"heavy_{kind}"] else 0.0


Figures = dict[str, Callable[[Json], float]]
RATES: tuple[str, ...] = ("throughput.single", "throughput.offline", "throughput.stream", "throughput.tokens")
RATES += ("serving.throughput", "sustained.throughput")
PRICED: Figures = {  # hours; times USD an hour
    "cost.per_million": lambda p: 1e6 * p["elapsed_s"] / p["completed"] / 3600,
    "cost.per_million_tokens": lambda p: 1e6 * p["elapsed_s"] / p["completed"] / 3600,
    "cost.per_audio_hour": lambda p: sum(p["samples_s"]) / sum(series(p, "audio_s")),
}
FIGURES: Figures = {
    **PRICED,
    **dict.fromkeys(RATES, lambda p: p["completed"] / p["elapsed_s"]),
    "memory.peak": lambda p: max(0, p["memory_peak"] - p["memory_before"]),
    "load": lambda p: p["load_s"],
    "first_inference": lambda p: p["first_inference_s"],
    "energy.per_sample": lambda p: joules(p) / p["completed"],
    "serving.tokens": lambda p: sum(series(p, "tokens")) / p["elapsed_s"],
    "serving.goodput": lambda p: p["details"]["in_time"] / p["elapsed_s"],
    "serving.errors": lambda p: failures(p) / p["details"]["sent"],
    "serving.capacity": lambda p: p["details"]["capacity"],
    "serving.dropped": lambda p: p["details"]["dropped"] / p["details"]["due"],
    "serving.streams": lambda p: p["details"]["streams"],
    "sustained.slowdown": lambda p: percentile(p["samples_s"]) / percentile(series(p, "first_s")),
    "rtf": lambda p: sum(p["samples_s"]) / sum(series(p, "audio_s")),
    "latency.audio_second.p50": lambda p: percentile([*map(operator.truediv, p["samples_s"], series(p, "audio_s"))]),
}
TAILED = dict.fromkeys(("latency", "latency.frame", "serving.latency", "sustained.latency"), "samples_s")
TAILED |= {"serving.ttft": "ttft_s", "serving.ttft_content": "ttft_content_s", "serving.tpot": "tpot_s"}
TIMES = {f"{name}.p{q}": (field, q / 100) for name, field in TAILED.items() for q in (50, 95, 99)}
TIMES |= {"latency.generate": ("samples_s", 0.5), "ttft": ("ttft_s", 0.5), "tpot": ("tpot_s", 0.5)}
TIMES |= {"adapter.switch": ("switch_s", 0.5)}
PERCENT = re.compile(r"[5-9]\d(?:\.\d{1,3})?", re.ASCII)
PROOFS: Figures = dict.fromkeys(("parity.adversarial", "parity.answers"), lambda p: len(p["violations"]))
PROOFS |= {"quantized.ops": lambda p: integer_share(p["proof"])}
# Of scores: which way they are better, the least and the greatest, whether they are differences of two answers.
ANSWERS = ("top1", "exact_match", "f1", "meteor", "chrf", "bleu", "task", "miou")
SCORES = {f"accuracy.{name}": ("higher", (0.0, 1.0), False) for name in ANSWERS}
SCORES |= dict.fromkeys(("parity.agreement", "parity.span", "parity.pixels"), ("higher", (0.0, 1.0), False))
SCORES |= dict.fromkeys(("accuracy.nll", "accuracy.kl", "parity.adapter"), ("lower", (0.0, math.inf), False))
SCORES |= dict.fromkeys(("accuracy.wer", "accuracy.cer"), ("lower", (0.0, 1.0), False))
SCORES |= {"parity.cosine": ("higher", (-1.0, 1.0), False), "adapter.gain": ("higher", (-1.0, 1.0), True)}


LEAST_OF_A_SLICE = 30


def of_processes(metric: str) -> bool:
    """Whether the metric is a figure of processes, which counts on the promised machine alone."""
    return metric in FIGURES or percentile_of(metric) is not None


def percentile_of(metric: str) -> tuple[str, float] | None:
    """The series and the quantile of a metric of times: of its own, or ``.pNN`` of one whose median is a metric."""
    if metric in TIMES:
        return TIMES[metric]
    base, _, percent = metric.rpartition(".p")
    found = TIMES.get(f"{base}.p50") or TIMES.get(base)
    return (found[0], round(float(percent) / 100, 6)) if found and PERCENT.fullmatch(percent) else None


def estimates(metric: str, processes: Sequence[Json], settings: Json) -> list[Estimate]:
    """The figures of processes with what each speaks for; slow requests of the first look's say how alike they are."""
    alike, found = 0.0, percentile_of(metric)
    if found and settings.get("tails") == "effective samples":
        alike = tail_correlation([series(process, found[0]) for process in processes[: settings["looks"][0]]], found[1])
    return [estimate(metric, process, settings["confidence"], alike) for process in processes]


def estimate(metric: str, process: Json, confidence: float, alike: float = 0.0) -> Estimate:
    """A process's own figure with what it speaks for; only a tail has bounds of its own."""
    if metric in FIGURES:
        value = float(FIGURES[metric](process))
        if metric == "sustained.slowdown" and len(series(process, "first_s")) < 5:
            raise NoFigure("the requests of a first minute are too few")
        # What slows the first minute makes a slowdown small.
        unknown = metric == "sustained.slowdown" and process["disturbed"]
        return (value, 0.0, math.inf) if unknown else (value, value, value)
    found = percentile_of(metric)
    if found is None:
        raise NoFigure(f"the figure of {metric} is not known")
    field, quantile = found
    values = sorted(series(process, field))
    n, value = len(values), percentile(values, quantile)
    if quantile == 0.5:
        return value, value, value
    if n < math.ceil(math.log(1 - confidence) / math.log(quantile)):
        raise NoFigure(f"{n} samples of a process are too few")
    return value, *tail_bounds(values, quantile, confidence, alike)


def incomplete_beta(x: float, a: float, b: float) -> float:
    """The regularized incomplete beta function, by its continued fraction, from the last term to the first."""
    if x > (a + 1) / (a + b + 2):
        return 1 - incomplete_beta(1 - x, b, a)
    if x == 0:
        return 0.0
    rest = 1.0
    for m in range(50 + 5 * math.isqrt(int(a + b)), 0, -1):
        rest = 1 - (a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)) / rest
        rest = 1 + m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)) / rest
    rest = 1 - (a + b) * x / (a + 1) / rest
    beta = math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
    return math.exp(a * math.log(x) + b * math.log1p(-x) - beta) / (a * rest)


@cache
def student_quantile(confidence: float, freedom: float) -> float:
    """Student's t that is not exceeded with a probability of ``confidence``, from 0.5 up."""
    place = crossing(lambda y: incomplete_beta(y, 0.5, freedom / 2) >= 2 * confidence - 1)
    return math.sqrt(freedom * place / (1 - place))


def score_bounds(
    relation: str,
    own: Sequence[float],
    others: Sequence[float],
    ends: Bounds,
    confidence: float,
    clusters: Sequence[Hashable] | None = None,
    weights: Sequence[float] | None = None,
    jackknife: bool = False,  # noqa: FBT001, FBT002 - as the evidence says
    effect: float = math.inf,
) -> Bounds:
    """Bounds of mean(own) for a "value", of mean(own) - mean(others) for "drop" and "gain", else of their ratio."""
    n, z, (low, high) = len(own), NormalDist().inv_cdf(confidence), ends
    binary = clusters is None and weights is None and ends == (0, 1) and {*own, *others} <= {0, 1}

    def few(values: Sequence[float]) -> bool:
        """Whether too few differ to say anything by themselves, of scores without ends."""
        sums, sizes = by_unit(values, clusters), by_unit(weights or [1.0] * n, clusters)
        differing = sum(value != 0 for value in sums)
        return differing < LEAST_UNITS or (jackknife and standing_out(sums, sizes) < LEAST_GROUPS)

    def mean_bounds(values: Sequence[float], ends: Bounds, beyond: float | None = None) -> Bounds:
        """``beyond`` is what one more may do, where few differ and it is known."""
        if beyond is None and not all(map(math.isfinite, ends)) and few(values):
            return -math.inf, math.inf
        sums, sizes = by_unit(values, clusters), by_unit(weights or [1.0] * n, clusters)
        return interval(sums, sizes, ends, confidence, beyond or 0.0)

    if relation == "value":
        return wilson(sum(own), n, z) if binary else mean_bounds(own, ends)
    both = sum(a * b for a, b in zip(own, others, strict=True))
    only, other = sum(own) - both, sum(others) - both
    gains = [a - b for a, b in zip(own, others, strict=True)]
    beyond = effect if math.isfinite(effect) and few(gains) else None
    if relation in ("drop", "gain"):
        if binary:
            return tango(n, only, other, z)
        return mean_bounds(gains, (low - high, high - low), beyond)

    def rest(ratio: float) -> Bounds:
        """Bounds of mean(own) - ratio x mean(others): the ratio is refused where both are on one side of 0."""
        if binary:
            return paired_ratio(n, both, only, other, ratio, z)
        left = [a - ratio * b for a, b in zip(own, others, strict=True)]
        return mean_bounds(left, (low - ratio * high, high - ratio * low), beyond)

    def at(place: float) -> float:
        return place / (1 - place) if place < 1 else math.inf

    least = 0.0 if rest(0.0)[0] <= 0 else at(crossing(lambda place: rest(at(place))[0] <= 0))
    most = at(crossing(lambda place: rest(at(place))[1] < 0))
    return least, most if most < 1 / TINY else math.inf


def by_unit(values: Sequence[float], clusters: Sequence[Hashable] | None) -> list[float]:
    """The sum of the values in each cluster; without clusters each sample is a unit."""
    sums: dict[Hashable, float] = {}
    for unit, value in zip(range(len(values)) if clusters is None else clusters, values, strict=True):
        sums[unit] = sums.get(unit, 0.0) + value
    return list(sums.values())


def standing_out(sums: Sequence[float], sizes: Sequence[float]) -> float:
    """How many units a jackknifed figure rests on."""
    means = [value / size for value, size in zip(sums, sizes, strict=True)]
    middle = percentile(means)
    far = [abs(mean - middle) for mean in means]
    return math.fsum(far) ** 2 / math.fsum(a * a for a in far) if any(far) else 0.0


def interval(
    sums: Sequence[float], sizes: Sequence[float], ends: Bounds, confidence: float, beyond: float = 0.0
) -> Bounds:
    """A t interval of a mean, made right for skewness (Hall 1992); with ends, as if units had been seen at both."""
    finite, total = all(map(math.isfinite, ends)), math.fsum(sizes)
    unit = math.fsum(size * size for size in sizes) / total if finite else total / len(sums)
    seen = [(value / unit, size / unit, 1.0) for value, size in zip(sums, sizes, strict=True)]
    seen += [(end, 1.0, NormalDist().inv_cdf(confidence) ** 2 / 2) for end in ends if finite]
    units = math.fsum(times * size for _, size, times in seen)
    mean = math.fsum(times * value for value, _, times in seen) / units
    second, third = (math.fsum(times * (v - mean * s) ** power for v, s, times in seen) / units for power in (2, 3))
    if not finite:
        second += units * (NormalDist().inv_cdf(confidence) * beyond) ** 2
    skew = third / second**1.5 if second > 0 else 0.0
    far = student_quantile(confidence, max(len(sums) - 1 if finite else len(sums) / 4, 1)) / math.sqrt(units)

    def bound(far: float) -> float:
        if abs(skew) >= TINY:
            far = (math.cbrt(1 + skew * (far - skew / (6 * units))) - 1) * 3 / skew
        return mean - math.sqrt(second) * far

    return (max(ends[0], bound(far)), min(ends[1], bound(-far))) if finite else (bound(far), bound(-far))
