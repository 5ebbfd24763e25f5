"""Processes take turns: in rounds, at random, half a round apart, pairs side by side; and what the order says."""

from __future__ import annotations

import itertools
import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from harness.core.errors import KpiError
from harness.core.statistics import effective_samples
from harness.measure.rounds import Rounds
from harness.measure.sequence import Order, Within, back_to_back, correlation, order_of, runs_test, too_alike


@dataclass
class Thing:
    """As much of a subject as rounds look at."""

    id: str
    machine: str = ""


@dataclass
class Played:
    """As much of a campaign as rounds call: it writes down who had a turn."""

    turns: list[str] = field(default_factory=list)
    broken: str = ""

    def add(self, subject: Thing, count: int) -> float:
        assert count > 0
        if subject.id == self.broken:
            raise KpiError(f"{subject.id} died")
        self.turns.append(subject.id)
        return 1.0

    def add_pair(self, a: Thing, b: Thing, count: int) -> float:
        assert count > 0
        self.turns += [a.id, b.id] if len(self.turns) % 2 else [b.id, a.id]
        return 2.0


@dataclass
class Wish:
    """A trial that wants so many turns."""

    subjects: Sequence[Thing]
    wants: int
    seen: int = 0
    error: KpiError | None = None

    @property
    def done(self) -> bool:
        return self.seen >= self.wants or self.error is not None

    @property
    def wanted(self) -> int:
        return self.wants

    def look(self, seconds: float) -> None:
        assert seconds > 0
        self.seen += 1

    def fail(self, error: KpiError) -> None:
        self.error = error


def play(wishes: Sequence[Wish], seed: str = "1", broken: str = "") -> list[str]:
    played = Played(broken=broken)
    rounds = Rounds(played, seed)  # type: ignore[arg-type] - the parts of a campaign that it uses
    for wish in wishes:
        rounds.add(wish)  # type: ignore[arg-type]
    for wish in wishes:
        rounds.finish(wish)  # type: ignore[arg-type]
    return played.turns


def singles(count: int, wants: int) -> list[Wish]:
    return [Wish([Thing(f"s{number}")], wants) for number in range(count)]


@pytest.mark.parametrize("seed", ["1", "2", "3"])
@pytest.mark.parametrize("count", [2, 5, 14])
def test_half_a_round_lies_between_two_turns_of_a_subject(count: int, seed: str) -> None:
    turns = play(singles(count, 20), seed)
    assert sorted(set(turns)) == sorted(f"s{n}" for n in range(count))
    assert len(turns) == 20 * count
    for name in set(turns):
        places = [place for place, turn in enumerate(turns) if turn == name]
        assert min(later - earlier for earlier, later in itertools.pairwise(places)) > count // 2


def test_the_order_is_random_and_the_same_for_the_same_seed() -> None:
    assert play(singles(8, 6), "run") == play(singles(8, 6), "run") != play(singles(8, 6), "another")
    rounds = np.array(play(singles(8, 30), "run")).reshape(30, 8)
    assert len({tuple(turns) for turns in rounds}) > 20


def test_who_is_decided_gets_no_more_turns() -> None:
    turns = play([*singles(3, 6), Wish([Thing("near")], 40)])
    assert {name: turns.count(name) for name in set(turns)} == {"s0": 6, "s1": 6, "s2": 6, "near": 40}


def test_pairs_stay_side_by_side_and_serve_the_plain_targets_too() -> None:
    a, b = Thing("a"), Thing("b")
    pair, plain = Wish([a, b], 8), Wish([a], 8)
    turns = play([plain, pair, *singles(4, 8)])
    assert turns.count("a") == turns.count("b") == 8
    assert plain.seen == 8
    places = [place for place, turn in enumerate(turns) if turn in "ab"]
    assert all(second == first + 1 for first, second in zip(places[::2], places[1::2], strict=True))


def test_a_process_that_dies_ends_its_own_trials_alone() -> None:
    broken, other = Wish([Thing("bad")], 6), Wish([Thing("good")], 6)
    turns = play([broken, other], broken="bad")
    assert broken.error is not None
    assert broken.seen == 0
    assert turns == ["good"] * 6


def test_as_few_runs_by_chance_is_exact() -> None:
    # Every order of four below and four above, by enumeration.
    orders = list(itertools.combinations(range(8), 4))
    counts: dict[int, int] = {}
    for above in orders:
        sides = [n in above for n in range(8)]
        runs = 1 + sum(a != b for a, b in itertools.pairwise(sides))
        counts[runs] = counts.get(runs, 0) + 1
    values = [1.0, 1.1, 1.2, 1.3, 2.0, 2.1, 2.2, 2.3]
    assert runs_test(values) == pytest.approx(counts[2] / len(orders))
    mixed = [1.0, 2.0, 1.1, 2.1, 2.2, 1.2, 1.3, 2.3]
    assert runs_test(mixed) == pytest.approx(sum(counts[k] for k in range(2, 7)) / len(orders))


def test_neighbours_that_resemble_each_other_are_seen() -> None:
    drawn = np.random.default_rng(1)
    states = np.repeat([0.0, 1.0, 0.0, 1.0], 10) + drawn.normal(0, 0.01, 40)
    assert (correlation(states.tolist()) or 0) > 0.5
    assert (runs_test(states.tolist()) or 1) < 1e-6
    alone = np.random.default_rng(2).normal(0, 1, 400).tolist()
    assert abs(correlation(alone) or 1) < 0.15


@pytest.mark.parametrize("values", [[], [1.0] * 3, [1.0] * 40, [1.0, 2.0] * 2, [math.inf] * 8])
def test_few_or_equal_figures_say_nothing_of_their_order(values: list[float]) -> None:
    assert runs_test(values) is None
    assert correlation(values) is None


def test_back_to_back_is_said() -> None:
    apart = order_of([(n, n) for n in range(1, 31, 5)], [1.0] * 6)
    assert (apart.places, apart.back_to_back) == ((1, 6, 11, 16, 21, 26), 0)
    assert not list(back_to_back(apart))
    alone = order_of([(n, n) for n in range(3, 9)], [1.0] * 6)
    assert next(back_to_back(alone)).startswith("6 of 6 ran back to back")
    pairs = order_of([(1, 2), (3, 4), (9, 10)], [1.0] * 3)
    assert pairs.back_to_back == 1
    assert not list(back_to_back(order_of([(1, 1)], [1.0])))


def test_a_tail_that_has_no_upper_bound_says_how_many_requests_would_do() -> None:
    def order(within: Within | None) -> Order:
        return order_of([(1, 1)], [1.0], within)

    inside = Within(samples=698, correlation=0.5, effective=232.7, needed=349)
    (note,) = too_alike(order(inside))
    assert "the 698 of a process are worth 233 independent ones, and this tail needs 349" in note
    assert "samples = 1047 in [measure] would do" in note
    assert math.floor(effective_samples(1047, 0.5)) == 349
    assert not list(too_alike(order(replace(inside, effective=349.0))))
    assert not list(too_alike(order(None)))


@dataclass
class Apart(Played):
    """What is measured on two machines must go on at once; what is measured here, never next to it."""

    meeting: threading.Barrier = field(default_factory=lambda: threading.Barrier(2, timeout=30))
    elsewhere: int = 0

    def add(self, subject: Thing, count: int) -> float:
        if subject.machine:
            self.elsewhere += 1
            self.meeting.wait()  # breaks where the two are not there together
            self.elsewhere -= 1
        else:
            assert not self.elsewhere
        return super().add(subject, count)


def test_machines_that_are_reached_are_measured_at_once_and_this_one_alone() -> None:
    played, wishes = Apart(), [Wish([Thing(f"s{name}", name)], 5) for name in ("", "one", "two")]
    rounds = Rounds(played, "1")  # type: ignore[arg-type]
    for wish in wishes:
        rounds.add(wish)  # type: ignore[arg-type]
    for wish in wishes:
        rounds.finish(wish)  # type: ignore[arg-type]
    assert sorted(played.turns) == sorted(["s", "sone", "stwo"] * 5)
    assert not played.meeting.broken
