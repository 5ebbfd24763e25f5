"""The little language of bounds: every kind is read, everything else is refused with a ValueError."""

from __future__ import annotations

import math
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from harness.core.bounds import EXAMPLES, Bound, Relation, judged_in, parse_bound
from harness.core.units import BYTES, COUNT, FACTOR, NUMBER, POINTS, SAMPLE_RATE, SHARE, TIME, Dimension

DIMENSIONS = (TIME, BYTES, SAMPLE_RATE, SHARE, NUMBER, COUNT)
OPERATORS = ("<", "<=", ">", ">=")
recipes = st.text(alphabet="abcxvsof0123456789-_.%", min_size=1, max_size=12)
promise_like = st.one_of(
    st.text(),
    st.text(alphabet="<>= \t\n0123456789.eE+-_%xmspdrogainvf", max_size=30),
    st.lists(
        st.sampled_from(["drop", "gain", *OPERATORS, "=", "3", "e5", "1e999", "-0"])
        | st.sampled_from(["ms", "%", "pp", "x", "vs", "of", "fp32"]),
        max_size=8,
    ).map(" ".join),
)


@pytest.mark.parametrize(
    ("text", "dimension", "relation", "op", "limit", "versus"),
    [
        ("< 3 ms", TIME, Relation.VALUE, "<", 0.003, None),
        ("<3ms", TIME, Relation.VALUE, "<", 0.003, None),
        ("  >=   1000   fps  ", SAMPLE_RATE, Relation.VALUE, ">=", 1000.0, None),
        ("<= 0", COUNT, Relation.VALUE, "<=", 0.0, None),
        ("> 0.98", NUMBER, Relation.VALUE, ">", 0.98, None),
        (">= 95 %", SHARE, Relation.VALUE, ">=", 0.95, None),
        ("drop <= 5 pp vs fp32", SHARE, Relation.DROP, "<=", 0.05, "fp32"),
        ("drop < 0.1 vs fp32", NUMBER, Relation.DROP, "<", 0.1, "fp32"),
        ("gain >= 2 pp vs int8-dynamic", SHARE, Relation.GAIN, ">=", 0.02, "int8-dynamic"),
        (">= 99 % of fp32", SHARE, Relation.SHARE, ">=", 0.99, "fp32"),
        ("<= 40 % of fp32", BYTES, Relation.SHARE, "<=", 0.4, "fp32"),
        ("<= 0.5 x fp32", TIME, Relation.RATIO, "<=", 0.5, "fp32"),
        (">= 1.3x fp32", SAMPLE_RATE, Relation.RATIO, ">=", 1.3, "fp32"),
        ("<= 0.5 x x", TIME, Relation.RATIO, "<=", 0.5, "x"),
        (">= 99 % of of", SHARE, Relation.SHARE, ">=", 0.99, "of"),
        ("drop <= 1 pp vs vs", SHARE, Relation.DROP, "<=", 0.01, "vs"),
    ],
)
def test_every_kind_of_target_is_read(
    text: str, dimension: Dimension, relation: Relation, op: str, limit: float, versus: str | None
) -> None:
    assert parse_bound(text, dimension) == Bound(text, relation, op, limit, versus)


@pytest.mark.parametrize(
    "text",
    ["", "<", "drop", "fast", "3 ms", "3 ms <", "= 3 ms", "== 3 ms", "!= 3 ms", "=< 3 ms", "<< 3 ms", "≤ 3 ms"],
)
def test_what_is_no_target_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match="is not a target") as caught:
        parse_bound(text, TIME)
    assert repr(text) in str(caught.value)
    assert EXAMPLES in str(caught.value)


@pytest.mark.parametrize("text", ["< 3 ms < 4 ms", "loss <= 1 pp vs fp32", "dropped <= 1 pp vs fp32"])
def test_what_reads_almost_like_a_target_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a target"):
        parse_bound(text, SHARE)


@pytest.mark.parametrize(
    ("text", "dimension", "said"),
    [
        ("drop <= 1 pp", SHARE, "drop ... vs RECIPE"),
        ("gain >= 1 pp", SHARE, "gain ... vs RECIPE"),
        ("drop <= 1 % of fp32", SHARE, "drop ... vs RECIPE"),
        ("gain >= 2 x fp32", SHARE, "gain ... vs RECIPE"),
        ("<= 1 pp vs fp32", SHARE, "say 'drop' or 'gain'"),
        ("drop <= 1 % vs fp32", SHARE, "'pp'"),
        ("drop <= 1 ms vs fp32", SHARE, "'pp'"),
        ("< 3 MB", TIME, "'ms'"),
        ("< 3", TIME, "a unit is missing"),
        ("< 3 ms of fp32", TIME, "'%'"),
        (">= 95 pp", SHARE, "'%'"),
        ("<= x fp32", TIME, "does not start with a number"),
        ("< ms", TIME, "does not start with a number"),
        ("< nan ms", TIME, "does not start with a number"),
        ("< e5 ms", TIME, "number"),
        ("< 1e999 ms", TIME, "not a finite number"),
        ("<= 0.5 fp32", TIME, "unit 'fp32' does not fit"),
    ],
)
def test_a_target_in_the_wrong_words_says_which_are_right(text: str, dimension: Dimension, said: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        parse_bound(text, dimension)
    assert said in str(caught.value)


@given(promise_like, st.sampled_from(DIMENSIONS))
@example("< e5 ms", TIME)
@example("< 1e99999999999999999999 ms", TIME)
def test_any_text_is_a_target_or_a_value_error(text: str, dimension: Dimension) -> None:
    try:
        bound = parse_bound(text, dimension)
    except ValueError:
        return
    assert bound.text == text
    assert math.isfinite(bound.limit)
    assert (bound.versus is None) == (bound.relation is Relation.VALUE)


@given(
    st.sampled_from(Relation),
    st.sampled_from(OPERATORS),
    st.decimals(0, 10_000, places=3),
    recipes,
    st.sampled_from(["", " ", "  "]),
)
def test_what_is_written_is_what_is_meant(
    relation: Relation, op: str, number: Decimal, recipe: str, space: str
) -> None:
    template = {
        Relation.VALUE: "{op}{space}{number}{space}%",
        Relation.DROP: "drop {op}{space}{number}{space}pp vs {recipe}",
        Relation.GAIN: "gain {op}{space}{number}{space}pp vs {recipe}",
        Relation.SHARE: "{op}{space}{number}{space}% of {recipe}",
        Relation.RATIO: "{op}{space}{number}{space}x {recipe}",
    }[relation]
    text = template.format(op=op, number=number, recipe=recipe, space=space)
    limit = float(number) if relation is Relation.RATIO else float(number / 100)
    versus = None if relation is Relation.VALUE else recipe
    assert parse_bound(text, SHARE) == Bound(text, relation, op, limit, versus)


@given(st.floats(-1e6, 1e6), st.integers(-1_000_000, 1_000_000))
def test_a_promise_holds_on_its_own_side_only(value: float, limit: int) -> None:
    below, at_most, above, at_least = (parse_bound(f"{op} {limit}", NUMBER) for op in OPERATORS)
    assert below.holds(value) == (value < limit)
    assert at_most.holds(value) == (value <= limit)
    assert above.holds(value) == (value > limit)
    assert at_least.holds(value) == (value >= limit)
    assert (below.upper, at_most.upper, above.upper, at_least.upper) == (True, True, False, False)
    assert not below.holds(limit)
    assert at_most.holds(limit)
    assert not above.holds(limit)
    assert at_least.holds(limit)


@pytest.mark.parametrize("op", OPERATORS)
def test_not_a_number_keeps_no_promise(op: str) -> None:
    assert not parse_bound(f"{op} 3 ms", TIME).holds(math.nan)


@pytest.mark.parametrize(
    ("dimension", "relation", "shown"),
    [
        (SHARE, Relation.VALUE, SHARE),
        (SHARE, Relation.DROP, POINTS),
        (SHARE, Relation.GAIN, POINTS),
        (NUMBER, Relation.DROP, NUMBER),
        (TIME, Relation.SHARE, SHARE),
        (BYTES, Relation.RATIO, FACTOR),
    ],
)
def test_a_relation_decides_the_unit(dimension: Dimension, relation: Relation, shown: Dimension) -> None:
    assert judged_in(dimension, relation) is shown
