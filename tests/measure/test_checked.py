"""Answers to scored samples: numbers, shapes, and whether the same sample gets the same answer again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from harness.core.errors import KpiError
from harness.measure.scenarios.checked import SAME, Checked, replay, spreads

RANDOM = np.random.default_rng(5)
Run = Callable[[Any], dict[str, Any]]


def collected(*batches: Any, size: int = 4) -> dict[str, Any]:
    checked = Checked(("logits",))
    for batch in batches:
        checked.add({"logits": batch}, size, size)
    return checked.finish()


def test_answers_come_back_in_their_order() -> None:
    first, second = RANDOM.normal(size=(4, 3)), RANDOM.normal(size=(4, 3))
    assert (collected(first, second)["logits"] == np.concatenate([first, second])).all()


def test_filling_is_forgotten() -> None:
    checked = Checked(("logits",))
    batch = np.arange(8.0).reshape(4, 2)
    batch[3] = np.nan
    checked.add({"logits": batch}, 4, 3)
    assert checked.finish()["logits"].shape == (3, 2)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_every_sample_that_is_no_number_is_counted(value: float) -> None:
    batches = [RANDOM.normal(size=(4, 3)) for _ in range(3)]
    batches[1][2, 1] = batches[2][0, 0] = batches[2][0, 2] = value
    with pytest.raises(KpiError, match=r"logits with NaN or infinity on 2 of 12 evaluation samples, the first is 6"):
        collected(*batches)


def test_outputs_that_nobody_scores_are_looked_at_too() -> None:
    checked = Checked(("logits",))
    checked.add({"logits": np.ones((2, 3)), "boxes": np.full((2, 5), np.nan)}, 2, 2)
    with pytest.raises(KpiError, match="boxes with NaN or infinity on 2 of 2"):
        checked.finish()


@pytest.mark.parametrize(
    ("outputs", "said"),
    [
        ({"scores": np.ones((4, 3))}, "answers scores, not logits"),
        ({}, "answers nothing, not logits"),
        ({"logits": np.ones((3, 3))}, r"shape \(3, 3\) to a batch of 4"),
        ({"logits": np.float64(3)}, r"shape \(\) to a batch of 4"),
        ({"logits": np.array(["a"] * 4)}, "not numbers"),
    ],
)
def test_what_can_not_be_an_answer_is_named(outputs: Any, said: str) -> None:
    with pytest.raises(KpiError, match=said):
        Checked(("logits",)).add(outputs, 4, 4)


def test_a_shape_that_changes_is_named() -> None:
    with pytest.raises(KpiError, match=r"of shape \(4, 5\), before of \(4, 3\)"):
        collected(np.ones((4, 3)), np.ones((4, 5)))


def linear(feeds: Any) -> dict[str, Any]:
    return {"logits": feeds["x"] @ np.arange(15.0).reshape(5, 3)}


def replayed(run: Run, size: int = 6) -> float:
    feeds = {"x": np.random.default_rng(size).normal(size=(size, 5))}
    answers = run(feeds)
    return replay(run, feeds, answers, spreads(answers))


@pytest.mark.parametrize("size", [1, 2, 16])
def test_a_healthy_model_answers_the_same_again(size: int) -> None:
    assert replayed(linear, size) < 1e-9


def changed(change: Callable[[Any], Any]) -> Run:
    return lambda feeds: {"logits": change(linear(feeds)["logits"])}


@pytest.mark.parametrize(
    "change",
    [
        lambda logits: logits[::-1],
        lambda logits: np.roll(logits, 1, axis=0),
        lambda logits: np.cumsum(logits, axis=0),
        lambda logits: np.where(np.arange(len(logits))[:, None] == 0, 0, logits),
    ],
    ids=["backwards", "neighbour", "added up", "first dropped"],
)
def test_a_place_in_the_batch_that_matters_is_an_error(change: Any) -> None:
    with pytest.raises(KpiError, match="depends on its place in the batch"):
        replayed(changed(change))


def test_state_between_requests_is_an_error() -> None:
    kept: list[Any] = []

    def last(feeds: Any) -> dict[str, Any]:
        kept.append(linear(feeds)["logits"])
        return {"logits": kept[-2] if len(kept) > 1 else kept[-1]}

    feeds = [{"x": RANDOM.normal(size=(4, 5))} for _ in range(3)]
    answers = [last(feed) for feed in feeds]
    with pytest.raises(KpiError, match="asked again"):
        replay(last, feeds[1], answers[1], spreads(answers[1]))


def test_noise_is_an_error() -> None:
    with pytest.raises(KpiError, match="differently when it is asked again"):
        replayed(changed(lambda logits: logits + RANDOM.normal(size=logits.shape)))


def test_what_depends_on_the_rest_of_the_batch_is_measured() -> None:
    assert replayed(changed(lambda logits: logits - logits.mean(axis=0))) > SAME
