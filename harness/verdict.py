"""Samples and a target in, a verdict out: pure decisions, no measuring."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from harness.statistics import Look, bootstrap_mean, bootstrap_ratio, median, median_bounds, wilson
from harness.targets import Promise, Relation, change, judged_in
from harness.units import Dimension

NEAR = 0.1
"""A figure of processes that is nearer to its bound than this share of it may stay undecided elsewhere."""


class Verdict(StrEnum):
    """What can be said of a target; each target of the ledger ends with exactly one."""

    PASS = "PASS"
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"
    OFF_TARGET = "OFF_TARGET"
    UNAVAILABLE = "UNAVAILABLE"
    ERROR = "ERROR"


@dataclass(frozen=True, slots=True)
class Judgement:
    """A decision with the value and the bounds that it used, in base units.

    ``n`` counts processes, pairs of processes or evaluation samples, as ``of`` says.
    """

    verdict: Verdict
    value: float
    low: float
    high: float
    n: int
    of: str
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Estimate:
    """One process's own value with the bounds that its samples support."""

    value: float
    low: float
    high: float

    def over(self, other: Estimate) -> Estimate:
        """The ratio to another process's estimate, bounds combined the careful way round."""
        low, high = _divide(self.low, other.high), _divide(self.high, other.low)
        # What neither side knows is unknown, not "not a number".
        return Estimate(
            _divide(self.value, other.value),
            -math.inf if math.isnan(low) else low,
            math.inf if math.isnan(high) else high,
        )


def judge_processes(
    promise: Promise,
    estimates: Sequence[Estimate],
    *,
    looks: Sequence[Look],
    confidence: float,
    disturbed: Sequence[bool] = (),
    of: str = "processes",
) -> Judgement:
    """The sequential sign test over fresh processes, for a target about their median.

    Each planned look uses the first processes of that number, so that measuring more for another target changes
    nothing. PASS when so few processes miss the bound that the median can't; FAIL the other way round; otherwise
    INCONCLUSIVE, which means "measure on" before the last look.

    PASS is decided on all ``estimates``, disturbed or not: a disturbance only slows, and nothing can be thrown away on
    the way to PASS. FAIL is decided on those not marked in ``disturbed`` (one flag each; empty: none was), since a
    disturbed process proves nothing against an artifact.
    """
    for look in looks:
        if look.processes > len(estimates):
            break
        seen = estimates[: look.processes]
        passed, _ = _first([look], seen, lambda e, look: not promise.holds(_worst(e, look, high=promise.upper)))
        if passed is not None:
            return _judgement(Verdict.PASS, seen, look, confidence, of)
        clean = [e for e, spoilt in zip(seen, disturbed, strict=False) if not spoilt] if disturbed else seen
        failed, against = _first(looks, clean, lambda e, look: promise.holds(_worst(e, look, high=not promise.upper)))
        if failed is not None:
            return _judgement(Verdict.FAIL, against, failed, confidence, of)
    last = max(
        (look for look in looks if look.processes <= len(estimates)),
        key=lambda look: look.processes,
        default=Look(len(estimates), -1),
    )
    return _judgement(Verdict.INCONCLUSIVE, estimates[: last.processes], last, confidence, of)


def _worst(estimate: Estimate, look: Look, *, high: bool) -> float:
    """The highest or the lowest that the process speaks for, with the look's margin."""
    return estimate.high * (1 + look.margin) if high else estimate.low / (1 + look.margin)


def _first(
    looks: Sequence[Look], estimates: Sequence[Estimate], speaks_against: Callable[[Estimate, Look], bool]
) -> tuple[Look | None, Sequence[Estimate]]:
    """The first look that decides, with the estimates it used."""
    for look in looks:
        if look.processes > len(estimates):
            break
        seen = estimates[: look.processes]
        if sum(speaks_against(estimate, look) for estimate in seen) <= look.against:
            return look, seen
    return None, ()


def _judgement(verdict: Verdict, seen: Sequence[Estimate], look: Look, confidence: float, of: str) -> Judgement:
    value = median([e.value for e in seen]) if seen else math.nan
    low, _ = median_bounds([_worst(e, look, high=False) for e in seen], look.against)
    _, high = median_bounds([_worst(e, look, high=True) for e in seen], look.against)
    return Judgement(verdict, value, low, high, len(seen), of, confidence)


def judge_samples(
    promise: Promise,
    scores: Sequence[float],
    others: Sequence[float] | None,
    confidence: float,
    better: str = "higher",
    *,
    paired: bool = False,
) -> Judgement:
    """A target about the mean of per-sample scores on a fixed evaluation set.

    A plain bound is about that very set, so its point value decides; the interval says what it tells of other data.
    A drop, a gain or a share is judged by the paired bootstrap: which of the two recipes is better is a claim beyond
    these samples. ``better`` says which way the scores are: a drop is a loss. ``paired`` scores are differences
    already.
    """
    n = len(scores)
    if others is None and paired:
        low, high = bootstrap_mean(scores, confidence)
        return Judgement(_decide(promise, low, high), sum(scores) / n, low, high, n, "paired samples", confidence)
    if others is None:
        value = sum(scores) / n
        binary = set(scores) <= {0.0, 1.0}
        low, high = wilson(sum(scores), n, confidence) if binary else bootstrap_mean(scores, confidence)
        verdict = Verdict.PASS if promise.holds(value) else Verdict.FAIL
        return Judgement(verdict, value, low, high, n, "samples", confidence)
    if len(others) != n:
        raise ValueError(f"{n} and {len(others)} scores can't be paired")
    if promise.relation in (Relation.SHARE, Relation.RATIO):
        value = _divide(sum(scores), sum(others))
        low, high = bootstrap_ratio(scores, others, confidence)
    else:
        gains = [change(promise.relation, a, b, better) for a, b in zip(scores, others, strict=True)]
        value = sum(gains) / n
        low, high = bootstrap_mean(gains, confidence)
    return Judgement(_decide(promise, low, high), value, low, high, n, "paired samples", confidence)


def too_small(promise: Promise, judgement: Judgement, shown: Dimension) -> Iterator[str]:
    """Says so when an evaluation set is too small for what is promised of it, and more samples might matter."""
    show = shown.format
    if judgement.of == "samples" and judgement.low < promise.limit < judgement.high:
        yield (
            f"the bound lies within {show(judgement.low)} to {show(judgement.high)}: of this very set the verdict is "
            f"exact, {judgement.n} other samples might give another"
        )
    if judgement.of == "paired samples":
        neutral = 1.0 if promise.relation in (Relation.SHARE, Relation.RATIO) else 0.0
        promised, known = abs(promise.limit - neutral), (judgement.high - judgement.low) / 2
        # Far from the bound the verdict would be the same with more samples.
        near = judgement.verdict is Verdict.INCONCLUSIVE or abs(judgement.value - promise.limit) < 2 * known
        if near and 0 < promised < known:
            needed = math.ceil(judgement.n * (known / promised) ** 2)
            apart = judged_in(shown, Relation.DROP).format
            yield (
                f"{judgement.n} samples are few for a difference of {apart(promised)}: they tell recipes apart to "
                f"about {apart(known)}; {needed} would do"
            )


def too_near(promise: Promise, judgement: Judgement) -> Iterator[str]:
    """Names a bound so near to the figure of processes that another machine, or another hour, may not decide it."""
    if "processes" not in judgement.of or not promise.limit or not math.isfinite(judgement.value):
        return
    apart = abs(judgement.value / promise.limit - 1)
    if apart < NEAR:
        ended = "undecided" if judgement.verdict is Verdict.INCONCLUSIVE else "decided"
        yield (
            f"{ended} after {judgement.n} {judgement.of}, {100 * apart:.1f} % from the bound: choose a bound at least "
            f"{100 * NEAR:.0f} % away from what is measured, or another machine may not decide it"
        )


def judge_exact(promise: Promise, value: float, other: float | None = None) -> Judgement:
    """A target about a figure without noise, such as a size; ``other`` is the recipe it is compared with."""
    judged = value if other is None else _divide(value, other)
    verdict = Verdict.PASS if promise.holds(judged) else Verdict.FAIL
    return Judgement(verdict, judged, judged, judged, 1, "exact")


def _decide(promise: Promise, low: float, high: float) -> Verdict:
    wrong, right = (high, low) if promise.upper else (low, high)
    if promise.holds(wrong):
        return Verdict.PASS
    return Verdict.INCONCLUSIVE if promise.holds(right) else Verdict.FAIL


def _divide(a: float, b: float) -> float:
    return a / b if b else math.inf
