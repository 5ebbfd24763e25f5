"""Quantities are read exactly, shown readably, and refused with a ValueError that names what is allowed."""

from __future__ import annotations

import math
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from harness.core.units import (
    BYTES,
    COUNT,
    DIMENSIONS,
    FACTOR,
    NUMBER,
    POINTS,
    SAMPLE_RATE,
    SHARE,
    TIME,
    Dimension,
    split_quantity,
)

ALL = tuple(DIMENSIONS.values())
dimensions = st.sampled_from(ALL)
quantity_like = st.one_of(
    st.text(),
    st.text(alphabet="0123456789+-._ eE%xpmsMB", max_size=14),
    st.builds("{}{}{}".format, st.floats(), st.sampled_from(["", " "]), st.sampled_from(["ms", "h", "%", "", "GiB"])),
)


@pytest.mark.parametrize(
    ("dimension", "text", "value"),
    [
        (TIME, "3 ms", 0.003),
        (TIME, "3ms", 0.003),
        (TIME, "  3   ms ", 0.003),
        (TIME, "+.5 s", 0.5),
        (TIME, "-2 s", -2.0),
        (TIME, "250 us", 0.00025),
        (TIME, "250 µs", 0.00025),
        (TIME, "1.5e3 ns", 1.5e-6),
        (TIME, "3 min", 180.0),
        (TIME, "2 h", 7200.0),
        (BYTES, "5 MB", 5e6),
        (BYTES, "5 MiB", 5 * 2.0**20),
        (BYTES, "1 000 000 B", 1e6),
        (BYTES, "1_000 kB", 1e6),
        (BYTES, "1_000.5 kB", 1000500.0),
        (SAMPLE_RATE, "1000 fps", 1000.0),
        (SAMPLE_RATE, "1000 images/s", 1000.0),
        (SHARE, "95 %", 0.95),
        (SHARE, "99.9%", 0.999),
        (POINTS, "1.5 pp", 0.015),
        (NUMBER, "0.98", 0.98),
        (FACTOR, "0.5 x", 0.5),
        (COUNT, "64", 64.0),
    ],
)
def test_reads_what_people_write(dimension: Dimension, text: str, value: float) -> None:
    assert dimension.parse(text) == value


@given(st.decimals(0, 1_000_000, places=4))
def test_reads_decimal_numbers_exactly(number: Decimal) -> None:
    # The nearest float to the decimal number that was written, not a product of two rounded ones.
    assert SHARE.parse(f"{number} %") == float(number / 100)
    assert POINTS.parse(f"{number} pp") == float(number / 100)
    assert TIME.parse(f"{number} ms") == float(number / 1000)
    assert BYTES.parse(f"{number} MB") == float(number * 1_000_000)


def test_every_percentage_is_the_share_that_a_count_gives() -> None:
    # What a measured share is compared with: 95 of 100 right keeps ">= 95 %".
    assert [SHARE.parse(f"{n} %") for n in range(101)] == [n / 100 for n in range(101)]


@given(dimensions, dimensions)
def test_a_wrong_unit_is_refused_and_the_allowed_ones_named(dimension: Dimension, other: Dimension) -> None:
    for unit in set(other.units) - set(dimension.units):
        with pytest.raises(ValueError, match="unit") as caught:
            dimension.parse(f"3 {unit}")
        said = str(caught.value)
        assert repr(f"3 {unit}".strip()) in said
        assert dimension.name in said
        for allowed in dimension.units:
            assert (repr(allowed) if allowed else "a plain number") in said


@pytest.mark.parametrize("text", ["3", "3 MS", "3 milliseconds", "3 ms 4", "3, ms", "1_0 ms", "0x3 ms", "3 ms\x00"])
def test_a_time_needs_one_of_its_units_as_they_are_spelled(text: str) -> None:
    with pytest.raises(ValueError, match="must be a time"):
        TIME.parse(text)


@pytest.mark.parametrize("text", ["", " ", "ms", "fast", "- ms", ". ms", "nan ms", "inf ms", "-inf ms", "∞ ms"])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="does not start with a number"):
        TIME.parse(text)


@pytest.mark.parametrize("text", ["e5 ms", "+e5 ms", "E-3 s", ".e5 ms"])
def test_an_exponent_without_a_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"number"):
        TIME.parse(text)


@pytest.mark.parametrize("text", ["1e999 ms", "-1e999 ms", "1e308 h", "9" * 400 + " s", "1e" + "9" * 30 + " ms"])
def test_what_is_not_finite_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"finite|number"):
        TIME.parse(text)


@given(dimensions, quantity_like)
def test_any_text_is_read_as_a_finite_number_or_refused(dimension: Dimension, text: str) -> None:
    try:
        value = dimension.parse(text)
    except ValueError:
        return
    assert math.isfinite(value)


@given(st.text(alphabet="0123456789 _.e+-ms", max_size=20))
def test_splitting_never_loses_the_unit(text: str) -> None:
    try:
        _, unit = split_quantity(text)
    except ValueError:
        return
    assert text.rstrip().endswith(unit)


@given(dimensions, st.floats(1e-3, 1e15), st.booleans())
def test_what_is_shown_can_be_read_again(dimension: Dimension, value: float, negative: bool) -> None:  # noqa: FBT001
    value = -value if negative else value
    shown = dimension.format(value)
    assume("," not in shown)
    assert dimension.parse(shown) == pytest.approx(value, rel=0.006)


@given(dimensions, st.floats(1e3, 1e15))
@example(SAMPLE_RATE, 1624.0)
@example(TIME, 0.9996)
def test_large_numbers_that_are_shown_can_be_read_again(dimension: Dimension, value: float) -> None:
    assert dimension.parse(dimension.format(value)) == pytest.approx(value, rel=0.006)


@given(dimensions, st.floats(allow_nan=False, allow_infinity=False))
@example(SHARE, 1e307)
def test_every_finite_value_can_be_shown(dimension: Dimension, value: float) -> None:
    shown = dimension.format(value)
    assert shown == shown.strip()
    assert any(character.isdigit() for character in shown)


@pytest.mark.parametrize(
    ("dimension", "value", "shown"),
    [
        (TIME, 0.00312, "3.12 ms"),
        (TIME, 12.0, "12.0 s"),
        (TIME, 0.0000123, "12.3 us"),
        (TIME, 0.0, "0 us"),
        (TIME, -0.00312, "-3.12 ms"),
        (BYTES, 8_920_000.0, "8.92 MB"),
        (BYTES, 512.0, "512 B"),
        (SHARE, 0.9059, "90.6 %"),
        (POINTS, 0.015, "1.50 pp"),
        (FACTOR, 0.5, "0.500 x"),
        (NUMBER, 0.98, "0.980"),
        (TIME, math.inf, "∞"),
        (TIME, -math.inf, "-∞"),
        (TIME, math.nan, "not a number"),
    ],
)
def test_shows_the_unit_in_which_a_value_reads_best(dimension: Dimension, value: float, shown: str) -> None:
    assert dimension.format(value) == shown


@pytest.mark.parametrize("dimension", ALL, ids=lambda dimension: dimension.base)
def test_a_dimension_shows_only_units_that_it_reads_the_largest_first(dimension: Dimension) -> None:
    factors = [dimension.units[unit] for unit in dimension.shown]
    assert factors
    assert all(larger > smaller > 0 for larger, smaller in pairwise(factors))
    assert all(factor > 0 for factor in dimension.units.values())
