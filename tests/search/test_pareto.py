"""What a search makes of its checks: who meets all, who is beaten by nobody, what a target costs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.judge.verdict import Verdict
from harness.search.checks import Level, Seen
from harness.search.pareto import DROPPED, LIKELY, MISSED, PROVEN, Row, front, nearest, prices, row_of, winner
from harness.spec.model import Spec, Target


@pytest.fixture
def targets(read: Callable[[str], Spec], valid: str) -> list[Target]:
    """Of the small file of promises: the absolute latency, the size."""
    found = [target for target in read(valid).targets if target.label in ("p50", "size")]
    assert [target.label for target in found] == ["p50", "size"]
    return found


def seen(target: str, margin: float, verdict: Verdict = Verdict.PASS, level: Level = Level.VERDICT) -> Seen:
    """A check whose margin is what matters."""
    return Seen(target, level, verdict, 1 - margin, 0, 2, 6, "processes", margin, 1.0, dropped=margin < -0.15)


def row(name: str, targets: list[Target], *checks: Seen) -> Row:
    return row_of(name, {}, targets, checks, 1.0, own=False)


def proven(name: str, targets: list[Target], p50: float, size: float) -> Row:
    return row(name, targets, seen("size", size), seen("p50", p50))


def test_a_state_is_what_the_deepest_checks_say(targets: list[Target]) -> None:
    assert proven("a", targets, 0.1, 0.2).state == PROVEN
    short = seen("p50", 0.1, Verdict.INCONCLUSIVE, Level.LOOK)
    assert row("b", targets, seen("size", 0.2), short).state == LIKELY
    assert row("c", targets, seen("size", 0.2), short, seen("p50", 0.05, Verdict.FAIL)).state == MISSED
    assert row("d", targets, seen("size", -0.3, Verdict.FAIL)).state == DROPPED
    assert row("e", targets, seen("size", 0.2), seen("p50", -0.05, Verdict.FAIL, Level.LOOK)).state == MISSED


def test_a_look_at_few_samples_that_may_be_the_harder_ones_is_no_miss(targets: list[Target]) -> None:
    """Its verdict is of these samples alone; the margin is the favourable end."""
    look = seen("p50", 0.02, Verdict.FAIL, Level.LOOK)
    assert row("a", targets, seen("size", 0.2), look).state == LIKELY


def test_the_front_is_beaten_by_nobody_and_the_winner_has_the_most_room(targets: list[Target]) -> None:
    fast, small = proven("fast", targets, 0.5, 0.1), proven("small", targets, 0.2, 0.4)
    beaten = proven("beaten", targets, 0.1, 0.05)
    too_large = row("large", targets, seen("p50", 0.9), seen("size", -0.1, Verdict.FAIL))
    rows = [beaten, fast, too_large, small]
    assert winner(rows) is small
    assert front(rows, targets) == [small, fast, too_large]
    assert nearest(rows) is too_large
    (price,) = [price for price in prices(rows, targets, small) if price.target == "size"]
    assert (price.row, price.gained) == (too_large, "p50")


def test_where_nobody_wins_the_nearest_misses_least(targets: list[Target]) -> None:
    near = row("near", targets, seen("p50", 0.3), seen("size", -0.05, Verdict.FAIL))
    far = row("far", targets, seen("p50", 0.9), seen("size", -0.12, Verdict.FAIL))
    assert winner([far, near]) is None
    assert nearest([far, near]) is near
    assert [(price.target, price.row) for price in prices([far, near], targets, None)] == [("size", near)]
