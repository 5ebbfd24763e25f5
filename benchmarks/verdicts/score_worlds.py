"""Simulated worlds of scores: what two recipes get on the same samples, when one is truly worse by a known amount.

Each world draws the scores of both recipes for a number of samples; its promise has its bound exactly on the truth, so
that PASS and FAIL are both wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.core.score_bounds import Scores

Array = npt.NDArray[np.float64]
UNIT = (0.0, 1.0)


@dataclass(frozen=True)
class ScoreWorld:
    """``draw(random, n)`` gives scores of about n samples; ``promise`` is true of them exactly at its bound.

    ``better`` says which way the scores are.
    """

    name: str
    bound: str
    draw: Callable[[np.random.Generator, int], Scores]
    better: str = "higher"


def flips(broke: float, mended: float, right: float = 0.9) -> Callable[[np.random.Generator, int], Scores]:
    """Right or wrong: shares of all samples that only one recipe is right on; ``right`` is the other's share."""

    def draw(random: np.random.Generator, n: int) -> Scores:
        kind = random.random(n)
        other = kind < right
        own = (other & (kind >= broke)) | (kind >= 1 - mended)
        return Scores(own.astype(float).tolist(), other.astype(float).tolist(), UNIT)

    return draw


def lost(share: float, part: float) -> Callable[[np.random.Generator, int], Scores]:
    """Scores between 0 and 1: a share of the samples loses a part, the rest scatters a little either way."""

    def draw(random: np.random.Generator, n: int) -> Scores:
        other = random.uniform(0.6, 0.95, n)
        noise = np.where(random.random(n) < 0.3, random.uniform(-0.05, 0.05, n), 0.0)
        return Scores((other + noise - part * (random.random(n) < share)).tolist(), other.tolist(), UNIT)

    return draw


def skewed(scale: float, sign: int) -> Callable[[np.random.Generator, int], Scores]:
    """Scores between 0 and 1 whose differences are skewed: many small ones, few large ones."""

    def draw(random: np.random.Generator, n: int) -> Scores:
        other = np.full(n, 0.5)
        return Scores((other - sign * np.minimum(random.exponential(scale, n), 0.5)).tolist(), other.tolist(), UNIT)

    return draw


def clustered(size: int, share: float, alike: float) -> Callable[[np.random.Generator, int], Scores]:
    """Right or wrong, in clusters of ``size`` that break together with the probability ``alike``, else one by one."""

    def draw(random: np.random.Generator, n: int) -> Scores:
        count = max(1, n // size)
        together = random.random((count, 1)) < alike
        broke = np.where(together, random.random((count, 1)) < share, random.random((count, size)) < share).ravel()
        names = np.repeat(np.arange(count), size).tolist()
        return Scores((~broke).astype(float).tolist(), [1.0] * len(broke), UNIT, names)

    return draw


def recordings(share: float) -> Callable[[np.random.Generator, int], Scores]:
    """Error rates of recordings of 2 to 20 words: of a share of them every word is lost."""

    def draw(random: np.random.Generator, n: int) -> Scores:
        words = random.integers(2, 21, n).astype(float)
        weights = words * n / words.sum()
        own = weights * (random.random(n) < share)
        return Scores(own.tolist(), [0.0] * n, UNIT, None, weights.tolist())

    return draw


def likelihoods(noise: Callable[[np.random.Generator, int], Array]) -> Callable[[np.random.Generator, int], Scores]:
    """Negative log-likelihoods, without an upper end: 5 % worse on average, with noise of mean 0."""

    def draw(random: np.random.Generator, n: int) -> Scores:
        other = 2 + random.gamma(4, 0.25, n)
        return Scores((1.05 * other + noise(random, n)).tolist(), other.tolist(), (0.0, np.inf))

    return draw


def _rare(random: np.random.Generator, n: int) -> Array:
    return np.where(random.random(n) < 0.3, random.exponential(0.2, n), 0.0) - 0.06


def _mean_of_skewed(scale: float) -> float:
    """Of an exponential that ends at 0.5."""
    return float(scale * (1 - np.exp(-0.5 / scale)))


WORLDS = [
    ScoreWorld("1 % break", "drop <= 1 pp vs b", flips(0.01, 0)),
    ScoreWorld("1.5 % break, 0.5 % mend", "drop <= 1 pp vs b", flips(0.015, 0.005)),
    ScoreWorld("3 % break", "drop <= 3 pp vs b", flips(0.03, 0)),
    ScoreWorld("9 % break, 8 % mend", "drop <= 1 pp vs b", flips(0.09, 0.08)),
    ScoreWorld("2 % mend", "gain >= 2 pp vs b", flips(0, 0.02)),
    ScoreWorld("1.8 % of 90 % break", ">= 98 % of b", flips(0.018, 0)),
    ScoreWorld("5.8 % break, 4 % mend", ">= 98 % of b", flips(0.058, 0.04)),
    ScoreWorld("2 % lose half a point", "drop <= 1 pp vs b", lost(0.02, 0.5)),
    ScoreWorld("5 % lose 0.6", "drop <= 3 pp vs b", lost(0.05, 0.6)),
    ScoreWorld("the same as a share", ">= 96 % of b", lost(0.05, 0.62)),
    ScoreWorld("skewed losses", f"drop <= {100 * _mean_of_skewed(0.02):.9f} pp vs b", skewed(0.02, 1)),
    ScoreWorld("skewed gains", f"gain >= {100 * _mean_of_skewed(0.02):.9f} pp vs b", skewed(0.02, -1)),
    ScoreWorld("clusters of 5 that break together", "drop <= 2 pp vs b", clustered(5, 0.02, 1.0)),
    ScoreWorld("clusters of 20, half of them together", "drop <= 5 pp vs b", clustered(20, 0.05, 0.5)),
    ScoreWorld("clusters of 5, one by one", "drop <= 2 pp vs b", clustered(5, 0.02, 0.0)),
    ScoreWorld("2 % of recordings lost", "drop <= 2 pp vs b", recordings(0.02), "lower"),
    ScoreWorld("likelihoods, normal", "<= 1.05 x b", likelihoods(lambda r, n: r.normal(0, 0.2, n))),
    ScoreWorld("likelihoods, few worse", "<= 1.05 x b", likelihoods(_rare)),
    ScoreWorld("likelihoods, skewed", "<= 1.05 x b", likelihoods(lambda r, n: r.exponential(0.2, n) - 0.2)),
    ScoreWorld(
        "likelihoods, skewed the other way", "<= 1.05 x b", likelihoods(lambda r, n: 0.2 - r.exponential(0.2, n))
    ),
]
