"""Lines of slots: what counts as given, what as made up, and what no line can be held against."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.errors import KpiError
from harness.tasks.language.scoring.slots import read_line, slot_scores

WANTED = "book; from: Oslo; to: Rome; day: Friday"


@pytest.mark.parametrize(
    ("output", "score"),
    [
        (WANTED, 1.0),
        ("  BOOK ;to:rome;  day :  friday;from: oslo;.\n", 1.0),  # neither order nor case nor space
        ("note; from: Oslo; to: Rome; day: Friday", 0.75),
        ("from: Oslo; to: Rome; day: Friday", 0.75),
        ("book; from: Oslo; to: Rome", 0.75),
        ("book; from: Rome; to: Oslo; day: Friday", 0.5),
        ("book; from: Oslo; to: Rome; day: Friday; seat: window", 0.8),  # made up
        ("book; from: Oslo; from: Bern; to: Rome; day: Friday", 0.75),  # which?
        ("book; from: Oslo; from: Oslo; to: Rome; day: Friday", 1.0),
        ("book; from: Oslo Airport; to: Rome; day: Friday", 0.75),
        ("book; from: ; to: ; day:", 0.25),
        ("", 0.0),
        ("I would book from Oslo to Rome on Friday.", 0.0),
        ("book; a: 1; b: 2; c: 3; d: 4", 1 / 8),
    ],
)
def test_a_slot_counts_when_it_is_given_exactly(output: str, score: float) -> None:
    assert slot_scores([output], [WANTED]) == [pytest.approx(score)]


def test_references_that_no_output_can_be_held_against_are_named() -> None:
    with pytest.raises(KpiError, match='reference 2 has no slot: "Have a good trip!"'):
        slot_scores(["", ""], [WANTED, "Have a  good trip!"])
    with pytest.raises(KpiError, match='reference 1 has two values for "to"'):
        slot_scores([""], ["book; to: Rome; to: Oslo"])
    with pytest.raises(KpiError, match="1 outputs for 2 references"):
        slot_scores([""], [WANTED, WANTED])


WORD = st.text("abcdefgh XYZ", min_size=1).filter(str.strip)
SLOTS = st.dictionaries(WORD.map(lambda w: " ".join(w.split()).casefold()), WORD, min_size=1, max_size=6)


@given(SLOTS, st.lists(st.integers(0, 5), max_size=6), SLOTS)
def test_a_line_scores_what_it_has_right(slots: dict[str, str], lost: list[int], other: dict[str, str]) -> None:
    line = "; ".join(f"{name}: {value}" for name, value in slots.items())
    assert slot_scores([line], [line]) == [1.0]
    assert set(read_line(line)) == set(slots)
    kept = {name: value for n, (name, value) in enumerate(slots.items()) if n not in lost}
    (score,) = slot_scores(["; ".join(f"{name}: {value}" for name, value in kept.items())], [line])
    assert score == pytest.approx(len(kept) / len(slots))
    (mixed,) = slot_scores(["; ".join(f"{name}: {value}" for name, value in other.items())], [line])
    assert 0 <= mixed <= 1
    invented = "; ".join([line, *(f"new {name}: {value}" for name, value in other.items())])
    assert slot_scores([invented], [line])[0] == pytest.approx(len(slots) / (len(slots) + len(other)))


@given(st.text())
def test_anything_can_be_an_output(output: str) -> None:
    assert 0 <= slot_scores([output], [WANTED])[0] <= 1
