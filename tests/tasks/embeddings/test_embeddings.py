"""Vectors that should be near where samples belong together: held against scikit-learn, SciPy and plain loops."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics
from scipy.optimize import brentq
from sklearn.neighbors import NearestNeighbors

from harness.core.bounds import parse_bound
from harness.core.errors import KpiError
from harness.judge.metrics import UnknownMetric, metrics
from harness.judge.metrics.base import SampleMetric
from harness.judge.verdict import Verdict, judge_samples
from harness.measure.records import Outputs
from harness.spec.tasks import tasks
from harness.tasks.embeddings import nearness


def metric(name: str) -> type[SampleMetric]:
    found = metrics()[name]
    assert issubclass(found, SampleMetric)
    return found


def figure(name: str, outputs: Outputs) -> float:
    metric(name).check(outputs, "w/mine")
    return float(np.mean(metric(name).scored(outputs, None, None).scores))


def faces(seed: int, samples: int = 240, people: int = 40, noise: float = 1.0, size: int = 16) -> Outputs:
    chance = np.random.default_rng(seed)
    who = chance.integers(0, people, samples)
    vectors = chance.normal(0, 1, (people, size))[who] + chance.normal(0, noise, (samples, size))
    # Their lengths say nothing.
    return Outputs((vectors * chance.uniform(0.1, 10, (samples, 1))).astype(np.float32), who * 7 + 3)


@pytest.fixture(params=[None, 500], ids=["at once", "in parts"])
def parts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Cosines are looked at in parts: what comes out does not depend on how many."""
    if request.param:
        monkeypatch.setattr(nearness, "_MOST", request.param)
    return


@pytest.mark.usefixtures("parts")
@pytest.mark.parametrize("k", [1, 2, 5, 10])
def test_recall_as_scikit_learns_neighbours_have_it(k: int) -> None:
    found = faces(0)
    who = found.labels
    search = NearestNeighbors(n_neighbors=k + 1, metric="cosine").fit(found.logits)
    near = search.kneighbors(found.logits, return_distance=False)
    hits, judged = [], []
    for place, neighbours in enumerate(near):
        others = [other for other in neighbours if other != place][:k]
        hits.append(any(who[other] == who[place] for other in others))
        judged.append((who == who[place]).sum() > 1)
    wanted = np.mean(np.array(hits)[np.array(judged)])
    assert figure(f"accuracy.recall_at_{k}", found) == pytest.approx(wanted)


def test_samples_alone_do_not_count() -> None:
    found = faces(1)
    more = Outputs(
        np.concatenate([found.logits, np.random.default_rng(1).normal(0, 1, (9, 16)).astype(np.float32)]),
        np.concatenate([found.labels, np.arange(10_000, 10_009)]),
    )
    recall = metric("accuracy.recall_at_1")
    weights = recall.weights(more)
    assert weights is not None
    assert sum(weights) == pytest.approx(len(more.labels))
    assert weights[-9:] == [0.0] * 9
    said = recall.remarks(more, None)
    alone = 9 + sum((found.labels == one).sum() == 1 for one in found.labels)
    assert said == [f"{alone} of 249 samples have no other of their identity: they do not count"]
    everyone = Outputs(*(np.concatenate([array, array]) for array in (found.logits, found.labels)))
    assert recall.weights(everyone) is None
    assert recall.remarks(everyone, None) == []


def test_vectors_that_are_alike_find_nothing() -> None:
    labels = np.arange(30) % 3
    same = np.ones((30, 4), np.float32)
    same[0, 0] = 1.5  # else it is refused
    assert figure("accuracy.recall_at_5", Outputs(same, labels)) == 0
    with pytest.raises(KpiError, match="answers the same to all 30 samples"):
        figure("accuracy.recall_at_5", Outputs(np.ones((30, 4), np.float32), labels))


def rate(found: Outputs) -> float:
    """The equal error rate from scikit-learn's curve of all pairs."""
    rows = found.logits.astype(float) / np.linalg.norm(found.logits.astype(float), axis=1, keepdims=True)
    first, second = np.triu_indices(len(rows), 1)
    false, true, _ = sklearn.metrics.roc_curve(
        found.labels[first] == found.labels[second], (rows[first] * rows[second]).sum(1), drop_intermediate=False
    )
    return float(brentq(lambda x: 1 - x - np.interp(x, false, true), 0, 1))


@pytest.mark.usefixtures("parts")
@pytest.mark.parametrize("seed", range(3))
def test_the_equal_error_rate_as_scikit_learn_has_it(seed: int) -> None:
    found = faces(seed, noise=1.5)
    assert figure("error.eer", found) == pytest.approx(rate(found), abs=2e-4)
    assert metric("error.eer").figure(found, None) == pytest.approx(figure("error.eer", found))


def test_leaving_out_a_group_is_leaving_out_its_pairs() -> None:
    found = faces(5, samples=90, people=9, noise=1.5)
    groups = [place % 6 for place in range(90)]
    pairs = nearness.Pairs(found.logits, found.labels, groups)
    for group in range(6):
        kept = np.array(groups) != group
        assert pairs.error_rate([group]) == pytest.approx(
            rate(Outputs(found.logits[kept], found.labels[kept])), abs=1e-3
        )


def test_random_vectors_are_told_apart_by_chance() -> None:
    chance = np.random.default_rng(0)
    found = Outputs(chance.normal(0, 1, (400, 8)).astype(np.float32), np.arange(400) % 20)
    assert figure("error.eer", found) == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("name", ["accuracy.recall_at_1", "error.eer"])
def test_a_drop_is_proven_and_refused(name: str) -> None:
    good, worse = faces(3, samples=2000, people=300, noise=0.7), faces(3, samples=2000, people=300, noise=1.1)
    own, other = (metric(name).scored(one, None, None) for one in (worse, good))
    for text, verdict in (("drop <= 50 pp vs fp32", Verdict.PASS), ("drop <= 0.1 pp vs fp32", Verdict.FAIL)):
        judged = metric(name).paired_scores(own.scores, other.scores, own.groups, own.weights)
        bound = parse_bound(text, metric(name).dimension)
        assert judge_samples(bound, judged, 0.97, metric(name).better).verdict is verdict, text


def sentences(seed: int, pairs: int = 150) -> Outputs:
    chance = np.random.default_rng(seed)
    first = chance.normal(0, 1, (pairs, 12))
    scores = chance.integers(0, 11, pairs) / 2
    second = first * (scores[:, None] / 5) + chance.normal(0, 0.7, first.shape)
    order = chance.permutation(2 * pairs)
    vectors = np.concatenate([first, second])[order].astype(np.float32)
    labels = np.stack([np.tile(np.arange(pairs) + 100, 2), np.tile(scores, 2)], axis=1)[order]
    return Outputs(vectors, labels)


def test_the_correlation_is_scipys() -> None:
    found = sentences(0)
    cosines, scores = [], []
    for pair in range(100, 250):
        (a, b), score = found.logits[found.labels[:, 0] == pair], found.labels[found.labels[:, 0] == pair][0, 1]
        cosines.append(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
        scores.append(score)
    wanted = scipy.stats.spearmanr(cosines, scores).statistic
    assert figure("accuracy.spearman", found) == pytest.approx(wanted, abs=1e-6)
    assert metric("accuracy.spearman").figure(found, None) == pytest.approx(wanted, abs=1e-6)
    scored = metric("accuracy.spearman").scored(found, None, None)
    assert scored.groups is not None
    for pair in (100, 249):
        assert len({scored.groups[place] for place in np.flatnonzero(found.labels[:, 0] == pair)}) == 1


def test_a_sample_without_its_other_does_not_count() -> None:
    found = sentences(1)
    less = Outputs(found.logits[1:], found.labels[1:])
    assert "1 of 299 samples are without the other of their pair" in metric("accuracy.spearman").remarks(less, None)[0]
    kept = found.labels[:, 0] != found.labels[0, 0]
    whole = Outputs(found.logits[kept], found.labels[kept])
    assert figure("accuracy.spearman", less) == pytest.approx(figure("accuracy.spearman", whole))


VECTORS = np.random.default_rng(0).normal(0, 1, (6, 4)).astype(np.float32)
WRONG = {
    "recall of words": ("accuracy.recall_at_1", Outputs(np.zeros((6, 3, 4)), np.arange(6)), "a vector was expected"),
    "recall of one": ("accuracy.recall_at_1", Outputs(VECTORS[:, 0], np.arange(6)), "a vector was expected"),
    "shares": ("accuracy.recall_at_1", Outputs(VECTORS, np.arange(6) / 2), "are no identities"),
    "all of one": ("error.eer", Outputs(VECTORS, np.ones(6, int)), "all samples are of one identity"),
    "each alone": ("error.eer", Outputs(VECTORS, np.arange(6)), "each sample is of an identity of its own"),
    "identities": ("accuracy.spearman", Outputs(VECTORS, np.arange(6)), "are no scores of pairs"),
    "three": ("accuracy.spearman", Outputs(VECTORS, np.ones((6, 2))), "6 samples are of the pair 1"),
    "two scores": (
        "accuracy.spearman",
        Outputs(VECTORS, np.array([[0, 1], [0, 2], [1, 1], [1, 1], [2, 0], [2, 0]])),
        "the two samples of the pair 0 have different scores",
    ),
    "one score": (
        "accuracy.spearman",
        Outputs(VECTORS, np.array([[0, 1], [0, 1], [1, 1], [1, 1], [2, 1], [2, 1]])),
        "all pairs have the same score",
    ),
}


@pytest.mark.parametrize(("name", "outputs", "said"), WRONG.values(), ids=WRONG)
def test_what_does_not_fit_is_told(name: str, outputs: Outputs, said: str) -> None:
    with pytest.raises(KpiError, match=said):
        metric(name).check(outputs, "w/mine")


def test_slices_are_searched_among_themselves() -> None:
    found = faces(2)
    night = np.arange(240) % 3 == 0
    sliced = Outputs(found.logits, found.labels, np.where(night, "night", "day"))
    part = Outputs(found.logits[night], found.labels[night])
    assert figure("accuracy.recall_at_2[slice=night]", sliced) == pytest.approx(figure("accuracy.recall_at_2", part))
    with pytest.raises(KpiError, match="all samples are of one identity"):
        figure(f"accuracy.recall_at_1[class={found.labels[0]}]", sliced)


def test_any_number_of_neighbours_may_be_named() -> None:
    five = metric("accuracy.recall_at_5")
    assert (five.name, five.title, five.kind()) == ("accuracy.recall_at_5", "recall at 5", "accuracy")
    assert metric("accuracy.recall_at_5[slice=dark]").title == "recall at 5, slice dark"
    assert metric("accuracy.recall_at_1").title == "recall at 1"
    for name in ("accuracy.recall_at_0", "accuracy.recall_at_05", "accuracy.recall_at_", "accuracy.top1_at_5"):
        with pytest.raises(UnknownMetric):
            metrics()[name]


def test_parity_of_vectors_is_that_of_any_output() -> None:
    task = tasks()["embeddings"]
    assert metrics()["parity.output_cosine"].tasks == {task.answers}
