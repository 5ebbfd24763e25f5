"""Targets about every slice: when they hold, when they fail, how many slices there may be without a false alarm."""

from __future__ import annotations

import numpy as np
import pytest

from harness.core.bounds import parse_bound
from harness.core.errors import KpiError
from harness.core.score_bounds import Scores
from harness.judge.metrics import metrics
from harness.judge.metrics.base import SampleMetric
from harness.judge.metrics.every_slice import EverySliceMetric
from harness.judge.verdict import Verdict
from harness.measure.records import Measurement, Outputs

ENDS = (0.0, 1.0)
CONFIDENCE = 0.97


def every(name: str) -> type[EverySliceMetric]:
    found = metrics()[name]
    assert issubclass(found, EverySliceMetric)
    return found


def scores(*rights: int, of: int = 200, less: int = 0) -> list[Scores]:
    """For each slice so many right answers; of the recipe compared with ``less`` fewer wrong ones where it is set."""
    found = []
    for right in rights:
        own = [1.0] * right + [0.0] * (of - right)
        others = [1.0] * (right + less) + [0.0] * (of - right - less) if less else None
        found.append(Scores(own, others, ENDS, None, None, least=30))
    return found


def judged(bound: str, *rights: int, of: int = 200, less: int = 0) -> tuple[Verdict, int, float]:
    metric = every("accuracy.top1[slice=*]")
    said, place = metric.judged(parse_bound(bound, metric.dimension), scores(*rights, of=of, less=less), CONFIDENCE)
    return said.verdict, place, said.value


def test_all_must_hold() -> None:
    assert judged(">= 80 %", 180, 165, 190) == (Verdict.PASS, 1, 165 / 200)
    assert judged(">= 80 %", 180, 150, 155) == (Verdict.FAIL, 1, 150 / 200)


def test_one_that_is_too_small_leaves_it_open() -> None:
    metric = every("accuracy.top1[slice=*]")
    both = [*scores(180), *scores(20, of=20)]
    said, place = metric.judged(parse_bound(">= 80 %", metric.dimension), both, CONFIDENCE)
    assert (said.verdict, place, said.n) == (Verdict.INCONCLUSIVE, 1, 20)
    # What fails is told whatever else is unknown.
    both = [*scores(100), *scores(20, of=20)]
    said, place = metric.judged(parse_bound(">= 80 %", metric.dimension), both, CONFIDENCE)
    assert (said.verdict, place) == (Verdict.FAIL, 0)


def test_a_loss_must_stand_out_among_many_slices() -> None:
    """9 of 200 lost: alone it fails at 97 %, among twenty slices such a one is seen by chance."""
    bound = "drop <= 1 pp vs as-delivered"
    assert judged(bound, 150, less=9)[0] is Verdict.FAIL
    assert judged(bound, *[150] * 20, less=9)[0] is Verdict.INCONCLUSIVE
    assert judged(bound, *[150] * 20, less=20)[0] is Verdict.FAIL


def test_false_alarms_are_as_promised_whatever_the_number_of_slices() -> None:
    """A loss of exactly what is permitted in each of ten slices; seen as more in any of them by chance alone."""
    chance, metric, alarms, runs = np.random.default_rng(5), every("accuracy.top1[slice=*]"), 0, 400
    bound = parse_bound("drop <= 5 pp vs as-delivered", metric.dimension)
    for _ in range(runs):
        found = []
        for _ in range(10):
            others = np.ones(200)
            own = (chance.random(200) >= 0.05).astype(float)
            found.append(Scores(own.tolist(), others.tolist(), ENDS, None, None, least=30))
        alarms += metric.judged(bound, found, CONFIDENCE)[0].verdict is Verdict.FAIL
    allowed, error = 1 - CONFIDENCE, np.sqrt(0.03 * 0.97 / runs)
    assert alarms / runs <= allowed + 3 * error


def test_the_parts_are_those_that_the_data_name() -> None:
    logits, labels = np.eye(3, dtype=np.float32)[[0, 1, 2, 0]], np.array([0, 1, 2, 1])
    given = Outputs(logits, labels, np.array(["b", "a", "b", "a"]))
    assert [part.name for part in every("accuracy.top1[slice=*]").parts(given)] == [
        "accuracy.top1[slice=a]",
        "accuracy.top1[slice=b]",
    ]
    assert len(every("accuracy.top1[class=*]").parts(given)) == 3
    with pytest.raises(KpiError, match="the data name no slices"):
        every("accuracy.top1[slice=*]").parts(Outputs(logits, labels))


def test_it_is_judged_again_from_the_scores_of_its_parts() -> None:
    metric = every("accuracy.top1[slice=*]")
    kept = {"accuracy.top1[slice=a]": [1.0] * 40, "accuracy.top1[slice=b]": [0.0] * 40, metric.name: [1.0] * 80}
    own = Measurement("m", "w/r", "a" * 64, 1, "onnxruntime", "cpu", "evaluate", scores={**kept, "accuracy.top1": []})
    found = metric.parts_in(parse_bound(">= 50 %", metric.dimension), [own], CONFIDENCE)
    assert {name: one.verdict for name, one in found.items()} == {"a": Verdict.PASS, "b": Verdict.FAIL}


def test_figures_of_the_whole_set_have_slices_too() -> None:
    found = metrics()["accuracy.macro_f1[slice=*]"]
    assert issubclass(found, SampleMetric)
    assert found.jackknife


def test_classes_whose_names_are_numbers_are_each_judged() -> None:
    labels = np.repeat(np.arange(5), 40)
    found = np.where(labels == 4, 0, labels)  # five stars are never found
    stars = Outputs(np.eye(5)[found], labels, classes=("1", "2", "3", "4", "5"))
    metric = metrics()["accuracy.top1[class=*]"]
    assert issubclass(metric, EverySliceMetric)
    parts = metric.parts(stars)
    assert [part.name for part in parts] == [f"accuracy.top1[class={name}]" for name in "12345"]
    scores = [part.paired_scores(part.scores(stars, None), None, None, None) for part in parts]
    decision, place = metric.judged(parse_bound(">= 80 %", metric.dimension), scores, 0.97)
    assert (decision.verdict, decision.value, place) == (Verdict.FAIL, 0, 4)
