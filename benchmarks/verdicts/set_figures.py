"""How often verdicts about figures of the whole set are wrong: the shipped metrics over simulated answers.

Usage: PYTHONPATH=. python benchmarks/verdicts/set_figures.py [--runs 4000]

Both recipes answer the same samples; the truth of the comparison is known and lies exactly on the bound, so that PASS
and FAIL are both wrong. A run computes each figure some 400 times, so that an eighth of the runs is made. Prints a
Markdown table: false PASS / false FAIL in percent for each number of samples. The exit code is 1 when a cell is above
3 % by more than three standard errors of the simulation.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from runs import FALSE, error_of, told
from scipy.stats import norm

from harness.core.bounds import parse_bound
from harness.core.errors import KpiError
from harness.judge.metrics import metrics
from harness.judge.metrics.base import SampleMetric
from harness.judge.verdict import Verdict, judge_samples
from harness.measure.records import Outputs
from harness.spec.model import MeasureSettings

CONFIDENCE = MeasureSettings().confidence
SIZES = (20, 50, 100, 200, 500, 1500, 5000)
Draw = Callable[[np.random.Generator, int], tuple[Outputs, Outputs]]


@dataclass(frozen=True)
class SetWorld:
    """``draw(random, n)`` gives the answers of a recipe and of the one that it is compared with, on n samples."""

    name: str
    metric: str
    bound: str
    draw: Draw


def ranks(own: float, other: float) -> tuple[float, Draw]:
    """Two classes whose scores are normal, the right ones higher by so much; with the true loss of AUC."""

    def draw(random: np.random.Generator, n: int) -> tuple[Outputs, Outputs]:
        labels = (random.random(n) < 0.3).astype(int)
        shared, apart = random.normal(0, 0.8, n), random.normal(0, 0.6, (2, n))
        return tuple(  # type: ignore[return-value]
            Outputs((labels * high + shared + noise)[:, None], labels)
            for high, noise in zip((own, other), apart, strict=True)
        )

    loss = norm.cdf(other / np.sqrt(2)) - norm.cdf(own / np.sqrt(2))
    return float(loss), draw


def decisions(own: float, other: float, classes: int = 4) -> Draw:
    """Right so often, else any of the other classes: in the long run precision, recall and F1 are that share."""

    def draw(random: np.random.Generator, n: int) -> tuple[Outputs, Outputs]:
        labels, chance = random.integers(0, classes, n), random.random(n)
        wrong = (labels + random.integers(1, classes, n)) % classes
        found = (np.where(chance < share, labels, wrong) for share in (own, other))
        return tuple(Outputs(np.eye(classes)[one], labels) for one in found)  # type: ignore[return-value]

    return draw


def errors(ratio: float, heavy: int | None) -> Draw:
    """Numbers that are off by an error of spread 1, of the other recipe; heavy-tailed where degrees are given."""

    def draw(random: np.random.Generator, n: int) -> tuple[Outputs, Outputs]:
        noise = random.normal(0, 1, (2, n)) if heavy is None else random.standard_t(heavy, (2, n))
        shared = 0.7 * noise[0] + np.sqrt(1 - 0.49) * noise[1]
        right = np.zeros(n)
        return Outputs(ratio * shared, right), Outputs(noise[0], right)

    return draw


def mixed_up(draw: Draw, share: float) -> Draw:
    """The recipe answers as the other one does, but for a share of samples, which get the answer to any sample."""

    def mixed(random: np.random.Generator, n: int) -> tuple[Outputs, Outputs]:
        _, other = draw(random, n)
        places = np.where(random.random(n) < share, random.integers(0, n, n), np.arange(n))
        return Outputs(other.logits[places], other.labels), other

    return mixed


def _auc_of_mixed(share: float, area: float) -> float:
    """What is lost of an area: pairs with one such answer are half as good, those with two are chance."""
    left = 1 - share
    return area - (left**2 * area + share * left * (area + 0.5) + share**2 / 2)


def numbers(spread: float) -> Draw:
    """Labels of this spread, answers that are off by an error of spread 1."""

    def draw(random: np.random.Generator, n: int) -> tuple[Outputs, Outputs]:
        labels = random.normal(0, spread, n)
        one = Outputs(labels + random.normal(0, 1, n), labels)  # type: ignore[arg-type]
        return one, one

    return draw


def rare_class(lost: float) -> Draw:
    """Four classes, one of them rare, all decided rightly; of the rare one a share is lost to the most frequent."""

    def draw(random: np.random.Generator, n: int) -> tuple[Outputs, Outputs]:
        labels = random.choice(4, n, p=_SHARES)
        found = np.where((labels == 0) & (random.random(n) < lost), 3, labels)
        return Outputs(np.eye(4)[found], labels), Outputs(np.eye(4)[labels], labels)

    return draw


_SHARES = (0.05, 0.2, 0.35, 0.4)


def _f1_of_rare(lost: float) -> float:
    """What macro F1 loses."""
    rare, frequent = _SHARES[0], _SHARES[3]
    return (lost / (2 - lost) + rare * lost / (2 * frequent + rare * lost)) / 4


_LOSS, _RANKS = ranks(1.9, 2.0)
_MEAN = np.sqrt(2 / np.pi)
WORLDS = [
    SetWorld("area under the curve", "accuracy.auc", f"drop <= {_LOSS:.12f} vs b", _RANKS),
    SetWorld("macro F1 of four classes", "accuracy.macro_f1", "drop <= 2 pp vs b", decisions(0.88, 0.90)),
    SetWorld("root mean squared error", "error.rmse", "<= 1.05 x b", errors(1.05, None)),
    SetWorld("the same, few errors are large", "error.rmse", "<= 1.05 x b", errors(1.05, 6)),
    SetWorld(
        "area, 2 % of answers mixed up",
        "accuracy.auc",
        f"drop <= {_auc_of_mixed(0.02, norm.cdf(np.sqrt(2))):.12f} vs b",
        mixed_up(_RANKS, 0.02),
    ),
    SetWorld(
        "macro F1, 1 % of answers mixed up",
        "accuracy.macro_f1",
        f"drop <= {0.97 - 0.25:.12f} pp vs b",
        mixed_up(decisions(0.97, 0.97), 0.01),
    ),
    SetWorld(
        "macro F1, a tenth of a rare class lost",
        "accuracy.macro_f1",
        f"drop <= {100 * _f1_of_rare(0.1):.12f} pp vs b",
        rare_class(0.1),
    ),
    SetWorld(
        "root mean squared error, 1 % mixed up",
        "error.rmse",
        f"drop <= {np.sqrt(1 + 0.01 * 2 * 3**2) - 1:.12f} vs b",
        mixed_up(numbers(3), 0.01),
    ),
    SetWorld(
        "the same as a ratio",
        "error.rmse",
        f"<= {np.sqrt(1 + 0.01 * 2 * 3**2):.12f} x b",
        mixed_up(numbers(3), 0.01),
    ),
    SetWorld(
        "mean absolute error, 1 % mixed up",
        "error.mae",
        f"drop <= {_MEAN * 0.01 * (np.sqrt(2 * 3**2 + 1) - 1):.12f} vs b",
        mixed_up(numbers(3), 0.01),
    ),
]


def cell(place: tuple[int, int, int]) -> tuple[float, float]:
    """Shares of runs that end with PASS and with FAIL, both wrong."""
    number, n, runs = place
    world, random = WORLDS[number], np.random.default_rng([77, number, n])
    metric = metrics()[world.metric]
    assert issubclass(metric, SampleMetric)
    bound = parse_bound(world.bound, metric.dimension)
    found: Counter[Verdict] = Counter()
    for _ in range(runs):
        answers = world.draw(random, n)
        try:
            own, other = (metric.scored(outputs, None, None) for outputs in answers)
        except KpiError:
            continue  # a class without samples: no verdict
        scores = metric.paired_scores(own.scores, other.scores, own.groups, own.weights)
        if scores.thin:
            scores = replace(scores, effect=metric.effect(answers[1], None, None))
        found[judge_samples(bound, scores, CONFIDENCE, metric.better, paired=metric.paired).verdict] += 1
    return found[Verdict.PASS] / runs, found[Verdict.FAIL] / runs


def main(runs: int) -> int:
    """Prints the table, then the cells that are above the goal."""
    runs = max(100, runs // 8)
    print(f"| figures of the whole set: false PASS / FAIL in % | {' | '.join(map(str, SIZES))} |")
    print(f"|---|{'--:|' * len(SIZES)}")
    missed = []
    places = [(number, n, runs) for number in range(len(WORLDS)) for n in SIZES]
    with ProcessPoolExecutor() as pool:
        cells = dict(zip(places, pool.map(cell, places), strict=True))
    for number, world in enumerate(WORLDS):
        row = [cells[number, n, runs] for n in SIZES]
        print(f"| {world.name}; {world.bound} | {' | '.join(f'{100 * a:.1f} / {100 * b:.1f}' for a, b in row)} |")
        for n, shares in zip(SIZES, row, strict=True):
            if max(shares) > FALSE + error_of(runs):
                missed.append(f"{world.name}, {n} samples: {100 * max(shares):.1f} % false verdicts")
    return told(missed)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=4000)
    sys.exit(main(parser.parse_args().runs))
