"""However ``kpis.toml`` is mutilated, it is read or refused with its mistakes; nothing else ever happens."""

from __future__ import annotations

import copy
import os
import re
import tomllib
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.core.errors import SpecError
from harness.spec.model import Spec
from harness.spec.reader import _Reader, read_spec
from harness.spec.sources import Source, Sources

FUZZ = settings(max_examples=int(os.environ.get("KPI_FUZZ", "200")), suppress_health_check=[HealthCheck.too_slow])
TOKENS = [
    "[", "]", "[[", "]]", "{", "}", '"', "'", '"""', "=", ".", ",", "#", "\n", "\\", "\\u0000", "true", "nan", "-inf",
    "0", "-1", "1e999", "1979-05-27", "e5", "[kpi.targets]", "[[kpi]]", "[measure]", '"<= 0.5 x fp32"', '">= 101 %"',
    '"drop <= 1 pp vs int8"', "fp32", "int8", "tiny", "onnx", "pass = ", "name = ", "\x00", "\ufeff", "é", "𝄞",
]  # fmt: skip
VALIDATOR = re.compile(
    r"should (be|have|match)|Field required|Extra inputs|Input |List |Dictionary |String |Value error|Unable to"
)
"""Beginnings of the validator's own sentences: a person gets ours."""
Read = Callable[[str], Spec]


def survives(attempt: Callable[[], Spec], content: Callable[[], dict[str, Any]]) -> None:
    """Every other exception than SpecError fails the test by itself; what is read is all that ``content`` promises."""
    refused: SpecError | None = None
    try:
        spec = attempt()
    except SpecError as error:
        refused = error
    if refused is not None:
        assert refused.problems
        assert all("kpis.toml" in problem for problem in refused.problems)
        assert not [problem for problem in refused.problems if VALIDATOR.search(problem)]
        return
    assert spec.targets
    assert len({target.key for target in spec.targets}) == len(spec.targets)
    written = {
        (kpi["name"], metric, text)
        for kpi in content()["kpi"]
        for metric, texts in kpi["targets"].items()
        for text in ([texts] if isinstance(texts, str) else texts)
    }
    assert {target.key for target in spec.targets} == written
    for target in spec.targets:
        # Whatever a target needs is there, so that nothing is found missing only when it is measured.
        assert target.machine in spec.machines
        assert all(recipe.passes and recipe.format for recipe in spec.recipes_of(target))


@st.composite
def edits(draw: st.DrawFn) -> list[tuple[str, int, int, str]]:
    """What to do, where (reduced to what is there), with what."""
    kind = st.sampled_from(["drop line", "repeat line", "move line", "cut", "replace", "insert"])
    what = st.one_of(st.sampled_from(TOKENS), st.text(max_size=5))
    return draw(st.lists(st.tuples(kind, st.integers(0, 10**6), st.integers(0, 10**6), what), min_size=1, max_size=4))


def mutilate(text: str, changes: list[tuple[str, int, int, str]]) -> str:
    for kind, at, other, what in changes:
        lines = text.splitlines(keepends=True) or ["\n"]
        line, target = at % len(lines), other % len(lines)
        start = at % (len(text) + 1)
        stop = min(len(text), start + other % 12)
        match kind:
            case "drop line":
                text = "".join(lines[:line] + lines[line + 1 :])
            case "repeat line":
                text = "".join([*lines[:target], lines[line], *lines[target:]])
            case "move line":
                moved = lines.pop(line)
                text = "".join([*lines[:target], moved, *lines[target:]])
            case "cut":
                text = text[:start] + text[stop:]
            case "replace":
                text = text[:start] + what + text[stop:]
            case _:
                text = text[:start] + what + text[start:]
    return text


@FUZZ
@given(changes=edits())
def test_a_mutilated_text_is_read_or_refused(read: Read, valid: str, changes: list[tuple[str, int, int, str]]) -> None:
    text = mutilate(valid, changes)
    survives(lambda: read(text), lambda: tomllib.loads(text.removeprefix("\ufeff")))


@FUZZ
@given(content=st.binary(max_size=60), at=st.integers(0, 10**6))
def test_any_bytes_are_read_or_refused(kpis_file: Path, valid: str, content: bytes, at: int) -> None:
    whole = valid.encode()
    kpis_file.write_bytes(whole[: at % len(whole)] + content + whole[at % len(whole) :])
    survives(lambda: read_spec(kpis_file), lambda: tomllib.loads(kpis_file.read_text(encoding="utf-8-sig")))


leaves = st.one_of(
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["onnx", "openvino", "int8", "fp32", "< 3 ms", "<= 0.5 x fp32", ">= 98 % of fp32", "1 ms", "0 %"]),
    st.sampled_from(["< e5 ms", "e5 s", "1e308 h", "~nobody-of-that-name/x", "a" * 300, "../x", ">= 2 x fp32"]),
    st.sampled_from([datetime(1979, 5, 27, tzinfo=UTC), date(1979, 5, 27), time(7, 32)]),
)
names = st.text(max_size=8) | st.sampled_from(["name", "pass", "runtime", "size", "offline", "latency.p99", "dict.x"])
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=6
)


def places(data: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The path of everything in a parsed TOML file."""
    inside = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in inside:
        yield (*path, key)
        yield from places(value, (*path, key))


@FUZZ
@given(at=st.integers(0, 10**6), action=st.sampled_from(["put", "add", "remove"]), name=names, value=values)
def test_any_value_anywhere_is_read_or_refused(
    kpis_file: Path, valid: str, at: int, action: str, name: str, value: object
) -> None:
    data = copy.deepcopy(tomllib.loads(valid))
    known = list(places(data))
    *way, last = known[at % len(known)]
    holder: Any = data
    for key in way:
        holder = holder[key]
    if action == "put":
        holder[last] = value
    elif action == "remove":
        del holder[last]
    elif isinstance(holder, dict):
        holder[name] = value
    else:
        holder.append(value)
    survives(
        lambda: _Reader(kpis_file).read(Sources((Source(kpis_file, kpis_file.name, data),), data, {})), lambda: data
    )
