"""Names that a user chose as names of files, on every operating system."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.file_names import file_name


@pytest.mark.parametrize("name", ["food11-int8", "a.b_c", "Console", "int8"])
def test_what_is_fine_everywhere_is_kept(name: str) -> None:
    assert file_name(name) == name


@pytest.mark.parametrize(
    "name",
    ["a:b", "what?", "a*b", "a|b", 'say "x"', "a<b>", "..", "a/b", "a\\b", "x.", "x ", "con", "NUL.txt", "é", ""],
)
def test_what_some_system_refuses_is_replaced(name: str) -> None:
    made = file_name(name)
    assert made != name
    assert re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", made)
    assert made.partition(".")[0].lower() not in ("con", "nul")
    assert not made.endswith((".", " "))


@given(st.text(max_size=400), st.text(max_size=400))
def test_two_names_are_two_files(one: str, other: str) -> None:
    assert (file_name(one) == file_name(other)) == (one == other)
    assert len(file_name(one)) < 100
