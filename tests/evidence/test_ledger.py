"""Every promised target ends with exactly one answer, which survives being written down."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.errors import Cause
from harness.evidence.ledger import Ledger, off_target
from harness.evidence.model import TargetResult
from harness.judge.verdict import Verdict
from harness.spec.model import Spec

Read = Callable[[str], Spec]
VERDICTS = list(Verdict)
answers = st.builds(
    TargetResult,
    verdict=st.sampled_from(VERDICTS),
    reason=st.text(),
    value=st.floats(),
    low=st.floats(),
    high=st.floats(),
    confidence=st.none() | st.floats(0, 1),
    n=st.integers(0, 10**6),
    of=st.text(max_size=20),
    artifact=st.text(max_size=64),
    measurements=st.lists(st.text(max_size=20), max_size=3).map(tuple),
    remedy=st.text(),
    seconds=st.floats(0, 1e6),
)


@pytest.fixture
def spec(read: Read, valid: str) -> Spec:
    return read(valid)


def same(a: object, b: object) -> bool:
    """Equal, with NaN equal to NaN."""
    return a == b or (isinstance(a, float) and isinstance(b, float) and math.isnan(a) and math.isnan(b))


def test_what_nobody_answered_is_still_in_the_ledger(spec: Spec) -> None:
    ledger = Ledger(spec)
    lines = list(ledger.lines())
    assert [target for target, _ in lines] == list(spec.targets)
    assert [(answer.verdict, answer.reason) for _, answer in lines] == [(Verdict.INCONCLUSIVE, "not measured")] * 4
    assert not any(ledger.answered(target.key) for target in spec.targets)
    assert not ledger.proven


def test_an_excuse_is_no_answer(spec: Spec) -> None:
    ledger = Ledger(spec)
    ledger.record(spec.targets[0].key, TargetResult(Verdict.PASS, ""))
    ledger.set_default_reasons([spec.targets[1].key, spec.targets[0].key], "interrupted")
    reasons = [(answer.verdict, answer.reason) for _, answer in ledger.lines()]
    assert reasons == [
        (Verdict.PASS, ""),
        (Verdict.INCONCLUSIVE, "not measured: not selected by -k or -m"),
        (Verdict.INCONCLUSIVE, "interrupted"),
        (Verdict.INCONCLUSIVE, "interrupted"),
    ]
    causes = [answer.cause for _, answer in ledger.lines()]
    assert causes == [None, Cause.UNSELECTED, Cause.UNMEASURED, Cause.UNMEASURED]
    assert not ledger.answered(spec.targets[1].key)


def test_each_target_is_answered_once(spec: Spec) -> None:
    ledger = Ledger(spec)
    key = spec.targets[0].key
    ledger.record(key, TargetResult(Verdict.FAIL, "too slow"))
    assert ledger.answered(key)
    with pytest.raises(ValueError, match="was answered already"):
        ledger.record(key, TargetResult(Verdict.PASS, ""))
    _, answer = next(ledger.lines())
    assert (answer.verdict, answer.reason) == (Verdict.FAIL, "too slow")
    assert ledger.counts() == {Verdict.FAIL: 1, Verdict.INCONCLUSIVE: 3}


@pytest.mark.parametrize("position", [0, 1, 2])
def test_nothing_is_answered_that_nobody_promised(spec: Spec, position: int) -> None:
    key = list(spec.targets[0].key)
    key[position] += "x"
    ledger = Ledger(spec)
    with pytest.raises(ValueError, match="no such target"):
        ledger.record((key[0], key[1], key[2]), TargetResult(Verdict.PASS, ""))
    assert len(list(ledger.lines())) == 4
    assert ledger.counts()[Verdict.PASS] == 0


@given(verdicts=st.lists(st.sampled_from(VERDICTS), max_size=4))
def test_proven_is_all_passed_and_nothing_less(read: Read, valid: str, verdicts: Sequence[Verdict]) -> None:
    spec = read(valid)
    ledger = Ledger(spec)
    for target, verdict in zip(spec.targets, verdicts, strict=False):
        ledger.record(target.key, TargetResult(verdict, ""))
    assert ledger.proven == (list(verdicts) == [Verdict.PASS] * 4)
    assert sum(ledger.counts().values()) == 4


def test_an_empty_ledger_proves_nothing(spec: Spec) -> None:
    assert not Ledger(Spec(spec.path, spec.machines, spec.workloads, (), spec.measure)).proven


@given(answers)
def test_an_answer_survives_being_written(answer: TargetResult) -> None:
    # Strict JSON, which knows neither NaN nor infinity.
    text = json.dumps(answer.to_json(), allow_nan=False)
    again = TargetResult.from_json(json.loads(text))
    for field in fields(TargetResult):
        assert same(getattr(again, field.name), getattr(answer, field.name)), field.name


@pytest.mark.parametrize(
    ("value", "written"), [(math.nan, None), (math.inf, "inf"), (-math.inf, "-inf"), (0.5, 0.5), (0.0, 0.0)]
)
def test_numbers_that_json_lacks_are_written_as_documented(value: float, written: object) -> None:
    plain = TargetResult(Verdict.INCONCLUSIVE, "", value=value, low=value, high=value).to_json()
    assert plain["value"] == plain["low"] == plain["high"] == written
    assert plain["verdict"] == "INCONCLUSIVE"


def test_an_unknown_verdict_is_refused() -> None:
    plain = TargetResult(Verdict.PASS, "").to_json()
    with pytest.raises(ValueError, match="PERHAPS"):
        TargetResult.from_json({**plain, "verdict": "PERHAPS"})


@given(answers)
def test_on_another_machine_nothing_is_proven(answer: TargetResult) -> None:
    moved = off_target(answer, "another processor")
    if answer.verdict in (Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE):
        assert moved.verdict is Verdict.OFF_TARGET
        assert moved.reason.startswith("another processor; ")
    else:
        assert moved is answer
    for field in fields(TargetResult):
        if field.name not in ("verdict", "reason", "would_be"):
            assert same(getattr(moved, field.name), getattr(answer, field.name))


@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        (Verdict.PASS, "it would hold here"),
        (Verdict.FAIL, "it would not hold here"),
        (Verdict.INCONCLUSIVE, "undecided here"),
    ],
)
def test_off_target_says_what_was_seen(verdict: Verdict, said: str) -> None:
    moved = off_target(TargetResult(verdict, ""), "8 cores, not 64")
    assert moved.reason == f"8 cores, not 64; {said}"
    assert moved.would_be is verdict
