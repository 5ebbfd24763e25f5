"""Whether what belongs together is near: found among all others, told apart from others, as people see it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from harness.core.errors import KpiError
from harness.core.units import NUMBER, SHARE
from harness.judge.metrics.base import SampleMetric
from harness.judge.metrics.mixed import sample_groups
from harness.judge.metrics.whole_set import SetMetric
from harness.judge.metrics.worth import check_better_than
from harness.measure.records import Outputs
from harness.tasks.embeddings import EMBEDDINGS
from harness.tasks.embeddings.nearness import Pairs, by_chance, ranks, unit
from harness.workloads.classes import check_varied

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from harness.core.score_bounds import Scored

_AXES = 2  # samples, values


class EmbeddingMetric(SampleMetric):
    """A figure of vectors, one for each sample."""

    tasks = EMBEDDINGS

    @classmethod
    def check(cls, outputs: Outputs, recipe: str) -> None:
        """A row of two numbers at least for each sample, not the same to all."""
        found = outputs.logits
        if found.ndim != _AXES or found.shape[1] < 2:  # noqa: PLR2004 - one number has no direction
            raise KpiError(
                f"{recipe} answers {found.shape[1:]} for each sample, a vector was expected",
                'mark the output that holds it: scored = "NAME"; a vector for each word is pooled in the model',
            )
        check_varied(found, recipe)


class IdentityMetric(EmbeddingMetric):
    """One of samples whose labels say who or what they show."""

    @classmethod
    def check(cls, outputs: Outputs, recipe: str) -> None:
        """Whole numbers, one for each sample; two identities at least, one of them with two samples."""
        super().check(outputs, recipe)
        labels = outputs.labels
        if labels.ndim != 1 or labels.dtype.kind not in "iub":
            raise KpiError(
                f"labels of shape {labels.shape} and type {labels.dtype} are no identities",
                "give a whole number for each sample: the same for samples of the same person, thing or place",
            )
        check_identities(labels)


def check_identities(labels: npt.NDArray[Any]) -> None:
    """Raises KpiError where no sample has another of its identity, or none of another one."""
    names = len(set(labels.tolist()))
    if names in (1, len(labels)):
        said = "all samples are of one identity" if names == 1 else "each sample is of an identity of its own"
        raise KpiError(f"{said}: nothing can be found among others", "give several samples of several identities")


class RecallAt1(IdentityMetric):
    """Formula: the share of samples that have one of their own identity among the ``at`` nearest others, by cosine.

    Each sample is searched among all others (of a slice, among those of the slice); of others that are as near, those
    of another identity come first. A sample without another of its identity does not count.
    """

    name = "accuracy.recall_at_1"
    title = "recall at 1"
    dimension = SHARE
    better = "higher"
    range = (0.0, 1.0)
    at: ClassVar[int] = 1
    _last: ClassVar[tuple[Outputs, npt.NDArray[np.int64]] | None] = None

    @classmethod
    def _ranks(cls, outputs: Outputs) -> npt.NDArray[np.int64]:
        """Those of the last outputs are remembered: several metrics, or several ks, ask for the same."""
        if RecallAt1._last is None or RecallAt1._last[0] is not outputs:
            check_identities(outputs.labels)  # of a slice: those of one class alone are found by nothing
            RecallAt1._last = (outputs, ranks(outputs.logits, outputs.labels))
        return RecallAt1._last[1]

    @classmethod
    def check_compared(cls, outputs: Outputs, recipe: str) -> None:
        """What others are held against finds more than as many taken at random would."""
        found, chances = cls._ranks(outputs), by_chance(outputs.labels, cls.at)
        right = float((found[found >= 0] < cls.at).mean())
        least = float(chances.mean() + 2 * (chances * (1 - chances)).sum() ** 0.5 / len(chances))
        check_better_than(cls, right, least, recipe, "vectors at random, with luck,")

    @classmethod
    def scores(cls, outputs: Outputs, reference: Outputs | None) -> list[float]:
        del reference
        found = cls._ranks(outputs)
        if by_chance(outputs.labels, cls.at).min() >= 1:
            raise KpiError(
                f"among {cls.at} of {len(found) - 1} others there is always one of the same identity: "
                f"{cls.name} is 100 % whatever the model answers",
                "take a smaller N, or give more samples",
            )
        weight = len(found) / int((found >= 0).sum())
        return [weight * float(0 <= rank < cls.at) for rank in found.tolist()]

    @classmethod
    def weights(cls, outputs: Outputs) -> list[float] | None:
        found = cls._ranks(outputs)
        judged = int((found >= 0).sum())
        return None if judged == len(found) else [len(found) / judged * float(rank >= 0) for rank in found.tolist()]

    @classmethod
    def remarks(cls, outputs: Outputs, reference: Outputs | None) -> list[str]:
        """Samples that do not count."""
        del reference
        alone = int((cls._ranks(outputs) < 0).sum())
        said = f"{alone} of {len(outputs.labels)} samples have no other of their identity: they do not count"
        return [said] if alone else []


class EqualErrorRate(IdentityMetric, SetMetric):
    """Formula: the share of wrong decisions about pairs, at the cosine where both kinds of errors are as frequent.

    Of all pairs of two samples: those of one identity below the threshold, those of others at or above it.
    """

    name = "error.eer"
    title = "equal error rate"
    dimension = SHARE
    better = "lower"
    range = (0.0, 1.0)
    worthless = 0.5

    @classmethod
    def figure(cls, outputs: Outputs, reference: Outputs | None) -> float:
        del reference
        return Pairs(outputs.logits, outputs.labels, [0] * len(outputs.labels)).error_rate()

    @classmethod
    def scored(cls, outputs: Outputs, reference: Outputs | None, clusters: Sequence[int] | None) -> Scored:
        groups = sample_groups(len(outputs.labels), clusters, cls.most_groups)
        return super().scored(Pairs(outputs.logits, outputs.labels, groups), reference, clusters)

    @classmethod
    def effect(cls, outputs: Any, reference: Any, clusters: Sequence[int] | None) -> float:
        del outputs, reference, clusters
        return math.inf  # a sample is in as many pairs as there are others

    @classmethod
    def count(cls, outputs: Pairs) -> int:
        return len(outputs.groups)

    @classmethod
    def of(cls, outputs: Pairs, reference: Outputs | None, places: Sequence[int]) -> float:
        del reference
        left = sorted(set(outputs.groups) - {outputs.groups[place] for place in places})
        found = outputs.error_rate(left)
        if found != found:  # noqa: PLR0124 - NaN
            raise KpiError(
                "without a part of the samples there is no pair of one identity, or none of two",
                "give several samples of several identities",
            )
        return found


@dataclass(frozen=True, slots=True)
class _Judged:
    """Pairs that people scored: the places of the two samples, their cosine, the score; and the pair of each sample."""

    places: Sequence[tuple[int, int]]
    cosines: Sequence[float]
    scores: Sequence[float]
    pairs: Sequence[int]


class Spearman(EmbeddingMetric, SetMetric):
    """Formula: Spearman's rank correlation of the cosine of pairs with the score that people gave them.

    Labels are (samples, 2): the number of the pair, and its score; two samples of one number are a pair.
    """

    name = "accuracy.spearman"
    title = "rank correlation with people"
    dimension = NUMBER
    better = "higher"
    range = (-1.0, 1.0)
    worthless = 0.0

    @classmethod
    def check(cls, outputs: Outputs, recipe: str) -> None:
        """Pairs of two samples with one score, three at least."""
        super().check(outputs, recipe)
        labels = outputs.labels
        if labels.ndim != _AXES or labels.shape[1] != 2:  # noqa: PLR2004 - pair, score
            raise KpiError(
                f"labels of shape {labels.shape} are no scores of pairs",
                'give two numbers for each sample, its pair and the score: label = ["pair", "score"]',
            )
        if len(set(judged(outputs).scores)) < 2:  # noqa: PLR2004 - two ranks
            raise KpiError("all pairs have the same score: there is no order to be met", "give pairs of other scores")

    @classmethod
    def figure(cls, outputs: Outputs, reference: Outputs | None) -> float:
        found = judged(outputs)
        return cls.of(found, reference, range(cls.count(found)))

    @classmethod
    def scored(cls, outputs: Outputs, reference: Outputs | None, clusters: Sequence[int] | None) -> Scored:
        found = judged(outputs)
        return super().scored(found, reference, found.pairs if clusters is None else clusters)

    @classmethod
    def effect(cls, outputs: Any, reference: Any, clusters: Sequence[int] | None) -> float:
        del outputs, reference, clusters
        return math.inf  # ranks of pairs

    @classmethod
    def count(cls, outputs: _Judged) -> int:
        return len(outputs.pairs)

    @classmethod
    def of(cls, outputs: _Judged, reference: Outputs | None, places: Sequence[int]) -> float:
        from scipy.stats import spearmanr

        del reference
        there = set(places)
        kept = [place for place, pair in enumerate(outputs.places) if there.issuperset(pair)]
        cosines, scores = ([values[place] for place in kept] for values in (outputs.cosines, outputs.scores))
        if len(set(cosines)) < 2 or len(set(scores)) < 2:  # noqa: PLR2004 - two ranks
            raise KpiError("without a part of the pairs there is no order to be met", "give more pairs")
        return float(spearmanr(cosines, scores).statistic)

    @classmethod
    def remarks(cls, outputs: Outputs, reference: Outputs | None) -> list[str]:
        """Samples without the other one of their pair."""
        del reference
        alone = len(outputs.labels) - 2 * len(judged(outputs).places)
        said = (
            f"{alone} of {len(outputs.labels)} samples are without the other of their pair and do not count; "
            'cluster = "pair" keeps both in one split'
        )
        return [said] if alone else []


def judged(outputs: Outputs) -> _Judged:
    """The pairs of the outputs. Raises KpiError where three samples are of one pair, or two have other scores."""
    found: dict[float, list[int]] = {}
    for place, (pair, _) in enumerate(outputs.labels.tolist()):
        found.setdefault(pair, []).append(place)
    scores: Any = outputs.labels[:, 1].tolist()
    for pair, places in found.items():
        if len(places) > 2:  # noqa: PLR2004 - a pair
            raise KpiError(f"{len(places)} samples are of the pair {pair:g}", "give each pair a number of its own")
        if len({scores[place] for place in places}) > 1:
            raise KpiError(f"the two samples of the pair {pair:g} have different scores", "give both the same")
    whole = [(places[0], places[1]) for places in found.values() if len(places) > 1]
    rows = unit(outputs.logits).astype("float64")
    number = {pair: place for place, pair in enumerate(found)}
    return _Judged(
        places=whole,
        cosines=[float(rows[a] @ rows[b]) for a, b in whole],
        scores=[scores[a] for a, _ in whole],
        pairs=[number[pair] for pair in outputs.labels[:, 0].tolist()],
    )
