"""Samples and a target in, a verdict out: pure decisions, no measuring."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from harness.core.bounds import Bound, Relation, change, judged_in
from harness.core.score_bounds import LEAST, LEAST_GROUPS, Scores, difference_bounds, mean_bounds, ratio_bounds
from harness.core.statistics import Look, median_bounds, percentile
from harness.core.units import Dimension

NEAR = 0.1
"""A figure of processes that is nearer to its bound than this share of it may stay undecided elsewhere."""
_FAR = 1000
"""So many times the samples are no longer called a number that would do."""


class Verdict(StrEnum):
    """What can be said of a target; each target of the ledger ends with exactly one."""

    PASS = "PASS"
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"
    OFF_TARGET = "OFF_TARGET"
    UNAVAILABLE = "UNAVAILABLE"
    ERROR = "ERROR"


class Basis(StrEnum):
    """What a figure rests on: ``n`` of a judgement counts these."""

    EXACT = "exact"
    PROCESSES = "processes"
    PAIRS = "pairs of processes"
    SAMPLES = "samples"
    PAIRED_SAMPLES = "paired samples"
    CLUSTERS = "clusters of samples"
    PAIRED_CLUSTERS = "paired clusters of samples"

    @property
    def of_processes(self) -> bool:
        """Whether fresh processes were compared, alone or in pairs."""
        return self in OF_PROCESSES

    @property
    def unit(self) -> str:
        """What there would have to be more of, in words."""
        return (Basis.CLUSTERS if self in (Basis.CLUSTERS, Basis.PAIRED_CLUSTERS) else Basis.SAMPLES).value


OF_PROCESSES = (Basis.PROCESSES, Basis.PAIRS)
_OF_SCORES = {
    (False, False): Basis.SAMPLES,
    (False, True): Basis.CLUSTERS,
    (True, False): Basis.PAIRED_SAMPLES,
    (True, True): Basis.PAIRED_CLUSTERS,
}
"""By whether scores are compared or are differences already, and whether they come in clusters."""


@dataclass(frozen=True, slots=True)
class Decision:
    """A decision with the value and the bounds that it used, in base units; ``n`` counts what ``of`` says."""

    verdict: Verdict
    value: float
    low: float
    high: float
    n: int
    of: Basis
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
    bound: Bound,
    estimates: Sequence[Estimate],
    *,
    looks: Sequence[Look],
    confidence: float,
    disturbed: Sequence[bool] = (),
    of: Basis = Basis.PROCESSES,
) -> Decision:
    """The sequential sign test over fresh processes, for a target about their median or another share of them.

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
        if _missing(bound, seen, look) <= look.against:
            return _judgement(bound, Verdict.PASS, seen, look, confidence, of)
        clean = [e for e, spoilt in zip(seen, disturbed, strict=False) if not spoilt] if disturbed else seen
        for other in looks:
            against = clean[: other.processes]
            if len(against) == other.processes and _keeping(bound, against, other) <= other.most_keeping:
                return _judgement(bound, Verdict.FAIL, against, other, confidence, of)
    last = max(
        (look for look in looks if look.processes <= len(estimates)),
        key=lambda look: look.processes,
        default=Look(len(estimates), -1),
    )
    return _judgement(bound, Verdict.INCONCLUSIVE, estimates[: last.processes], last, confidence, of)


def can_decide(
    bound: Bound, estimates: Sequence[Estimate], disturbed: Sequence[bool], looks: Sequence[Look], most: int
) -> bool:
    """Whether processes up to ``most`` of them in all could still bring about PASS or FAIL, whatever they show."""
    to_come = [look for look in looks if len(estimates) < look.processes <= most]
    if not to_come:
        return False
    clean = [e for e, spoilt in zip(estimates, disturbed, strict=True) if not spoilt] if disturbed else estimates
    reached = len(clean) + to_come[-1].processes - len(estimates)

    return any(_missing(bound, estimates, look) <= look.against for look in to_come) or any(
        _keeping(bound, clean[: look.processes], look) <= look.most_keeping
        for look in looks
        if look.processes <= reached
    )


def _missing(bound: Bound, seen: Sequence[Estimate], look: Look) -> int:
    """How many processes do not surely keep the bound."""
    return sum(not bound.holds(_worst(estimate, look, high=bound.upper)) for estimate in seen)


def _keeping(bound: Bound, seen: Sequence[Estimate], look: Look) -> int:
    """How many processes do not surely miss the bound."""
    return sum(bound.holds(_worst(estimate, look, high=not bound.upper)) for estimate in seen)


def _worst(estimate: Estimate, look: Look, *, high: bool) -> float:
    """The highest or the lowest that the process speaks for, with the look's margin."""
    return estimate.high * (1 + look.margin) if high else estimate.low / (1 + look.margin)


def _judgement(
    bound: Bound, verdict: Verdict, seen: Sequence[Estimate], look: Look, confidence: float, of: Basis
) -> Decision:
    share = bound.share if bound.upper else 1 - bound.share
    value = percentile([e.value for e in seen], share) if seen else math.nan
    return Decision(verdict, value, *bounds_at(look, seen, upper=bound.upper), len(seen), of, confidence)


def bounds_at(look: Look, seen: Sequence[Estimate], *, upper: bool = True) -> tuple[float, float]:
    """What the processes of a look say of their median, or of another share where the look is planned for one.

    ``upper`` is the side of the bound; for a median it makes no difference.
    """
    sides = (look.most_keeping, look.against) if upper else (look.against, look.most_keeping)
    low, _ = median_bounds([_worst(e, look, high=False) for e in seen], sides[0])
    _, high = median_bounds([_worst(e, look, high=True) for e in seen], sides[1])
    return low, high


def judge_samples(
    bound: Bound, scores: Scores, confidence: float, better: str = "higher", *, paired: bool = False
) -> Decision:
    """A target about the mean of per-sample scores on a fixed evaluation set.

    A plain bound is about that very set, so its point value decides; the interval says what it tells of other data. Of
    fewer samples than ``least_to_pass`` it gives no PASS.
    A drop, a gain or a share is a claim beyond these samples: which of two recipes is better. There the interval
    decides. ``better`` says which way the scores are: a drop is a loss. ``paired`` scores are differences already. Of
    fewer samples than ``scores.least`` nothing is decided.
    """
    value, low, high = _compared(bound, scores, confidence, better)
    claim = scores.others is not None or paired
    # A value itself is compared as its own interval.
    verdict = _decide(bound, *((low, high) if claim else (value, value)))
    few = not claim and verdict is Verdict.PASS and scores.units < least_to_pass(confidence)
    if scores.units < scores.least or few:
        verdict = Verdict.INCONCLUSIVE
    of = _OF_SCORES[claim, scores.clusters is not None]
    return Decision(verdict, value, low, high, scores.units, of, confidence)


def least_to_pass(confidence: float) -> int:
    """So many samples (or clusters) a PASS of a plain bound takes: 6 at 97 %, as many processes as the first look has.

    Where every sample keeps the bound a sign test needs so many to say that more than half of such samples do.
    """
    return max(2, math.ceil(math.log(1 - confidence) / math.log(0.5) - 1e-9))


def _compared(
    bound: Bound, scores: Scores, confidence: float, better: str, times: float = 1.0
) -> tuple[float, float, float]:
    """The value that is judged, with its bounds as they would be on ``times`` as many samples of the same kind."""
    own = math.fsum(scores.own)
    if scores.others is None:
        return own / len(scores.own), *mean_bounds(scores, confidence, times)
    other = math.fsum(scores.others)
    if bound.relation in (Relation.SHARE, Relation.RATIO):
        return _divide(own, other), *ratio_bounds(scores, confidence, times)
    bounds = difference_bounds(scores, confidence, times)
    value = change(bound.relation, own / len(scores.own), other / len(scores.own), better) + 0.0  # no "-0"
    ends = [change(bound.relation, end, 0.0, better) for end in bounds]
    return value, min(ends), max(ends)


def samples_that_decide(
    bound: Bound, scores: Scores, confidence: float, better: str = "higher"
) -> tuple[int, bool] | None:
    """How many samples (or clusters) like these would decide a comparison, and whether the promise would then hold.

    Computed by the method that judges; None where even ``_FAR`` times as many would not.
    """
    units = scores.units

    def decided(count: int) -> Verdict:
        _, low, high = _compared(bound, scores, confidence, better, count / units)
        return _decide(bound, low, high)

    enough = units
    while (verdict := decided(enough)) is Verdict.INCONCLUSIVE:
        if enough > _FAR * units:
            return None
        enough *= 2
    few = enough // 2
    while enough - few > 1:
        middle = (few + enough) // 2
        few, enough = (middle, enough) if decided(middle) is Verdict.INCONCLUSIVE else (few, middle)
    return enough, verdict is Verdict.PASS


def flips(bound: Bound, scores: Scores) -> Iterator[str]:
    """How many answers of a comparison changed from right to wrong, and how many the other way round."""
    if bound.versus and scores.right_or_wrong:
        broke, mended = scores.flips
        yield f"against {bound.versus}, of {len(scores.own)} samples {broke} broke and {mended} mended"


def too_small(
    bound: Bound, judgement: Decision, scores: Scores, shown: Dimension, better: str = "higher"
) -> Iterator[str]:
    """Says so when an evaluation set is too small for what is promised of it."""
    show = shown.format
    what = judgement.of.unit
    if scores.units < scores.least:
        yield f"{judgement.n} {what} are too few to say anything of such samples: at least {scores.least} are needed"
        return
    if judgement.of in (Basis.SAMPLES, Basis.CLUSTERS):
        if judgement.verdict is Verdict.INCONCLUSIVE and judgement.confidence is not None:
            least = least_to_pass(judgement.confidence)
            yield f"{judgement.n} {what} keep the bound, and are too few to pass: at least {least} are needed"
            return
        known = math.isfinite(judgement.low) or math.isfinite(judgement.high)
        if known and judgement.low < bound.limit < judgement.high:
            yield (
                f"the bound lies within {show(judgement.low)} to {show(judgement.high)}: of this very set the verdict "
                f"is exact, {judgement.n} other {what} might give another"
            )
        return
    if judgement.verdict is not Verdict.INCONCLUSIVE or judgement.confidence is None:
        return
    found = samples_that_decide(bound, scores, judgement.confidence, better)
    if found is None and math.isinf(judgement.low) and math.isinf(judgement.high):
        least = LEAST_GROUPS if scores.jackknife else LEAST
        yield (
            f"{judgement.n} {what} tell nothing of others: for a figure of this kind the two recipes must differ on "
            f"{least} or more of them; where they answer alike, promise their parity"
        )
    elif found is None:
        yield f"{judgement.n} {what} can't decide it, nor would {_FAR} times as many: the figure is at its bound"
    else:
        count, holds = found
        yield (
            f"{judgement.n} {what} are too few for {bound.text}: about {count:,} like these would "
            f"{'prove' if holds else 'refute'} it"
        )


def reason_of(bound: Bound, shown_in: Dimension, judgement: Decision) -> str:
    """Why a target did not pass, its figures in their dimension; empty where it did."""
    show = shown_in.format
    match judgement.verdict:
        case Verdict.PASS:
            return ""
        case Verdict.FAIL:
            by = judged_in(shown_in, Relation.DROP).format(abs(judgement.value - bound.limit))
            return f"{show(judgement.value)} misses {bound.text} by {by}"
        case _ if not judgement.n:
            return f"{bound.text} is undecided: there were no undisturbed {judgement.of or 'processes'}"
        case _:
            between = f"{show(judgement.low)} and {show(judgement.high)}"
            return f"{bound.text} lies between {between} after {judgement.n} {judgement.of}"


def too_near(bound: Bound, judgement: Decision) -> Iterator[str]:
    """Names a bound so near to the figure of processes that another machine, or another hour, may not decide it."""
    if not judgement.of.of_processes or not bound.limit or not math.isfinite(judgement.value):
        return
    apart = abs(judgement.value / bound.limit - 1)
    if apart < NEAR:
        ended = "undecided" if judgement.verdict is Verdict.INCONCLUSIVE else "decided"
        yield (
            f"{ended} after {judgement.n} {judgement.of}, {100 * apart:.1f} % from the bound: choose a bound at least "
            f"{100 * NEAR:.0f} % away from what is measured, or another machine may not decide it"
        )


def judge_exact(bound: Bound, value: float, other: float | None = None) -> Decision:
    """A target about a figure without noise, such as a size; ``other`` is the recipe it is compared with."""
    judged = value if other is None else _divide(value, other)
    verdict = Verdict.PASS if bound.holds(judged) else Verdict.FAIL
    return Decision(verdict, judged, judged, judged, 1, Basis.EXACT)


def _decide(bound: Bound, low: float, high: float) -> Verdict:
    wrong, right = (high, low) if bound.upper else (low, high)
    if bound.holds(wrong):
        return Verdict.PASS
    return Verdict.INCONCLUSIVE if bound.holds(right) else Verdict.FAIL


def _divide(a: float, b: float) -> float:
    return a / b if b else math.inf
