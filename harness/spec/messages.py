"""What is wrong with a value of ``kpis.toml``, in our own words: no sentence of the validator reaches the user."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

# What pydantic puts into a place for the alternatives of a union; nothing that the file holds.
_TAGS = re.compile(
    r"^(str|int|float|bool|none|(list|dict|tuple|literal)\[.*\]|(constrained|function)-.*|\[key\]|[A-Z]\w*Table)$"
)
_KINDS = {
    "string_type": "text in quotes",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a smaller number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "set_type": "a list",
    "frozen_set_type": "a list",
    "dict_type": "a table",
    "mapping_type": "a table",
    "model_type": "a table",
    "dataclass_type": "a table",
    "none_required": "left out",
}
_LIMITS = {
    "greater_than_equal": "at least {ge}",
    "greater_than": "above {gt}",
    "less_than_equal": "at most {le}",
    "less_than": "below {lt}",
    "multiple_of": "a multiple of {multiple_of}",
    "string_too_long": "{max_length} characters long at most",
    "too_long": "{max_length} entries long at most",
}
_EMPTY = {
    "passes": 'name at least one pass, as in ["onnx"]',
    "targets": 'name at least one, as in "size" = "< 5 MB"',
    "looks": "name at least one number of processes, as in [6, 9, 12, 16, 20, 26, 32, 40]",
}
_TABLES = {"kpi": "[[kpi]]", "published": "[[workload.NAME.published]]"}
_EXAMPLES = {
    "targets": '"< 5 MB"',
    "seconds": '"0.5 s"',
    "budget": '"3 min"',
    "confidence": '"97 %"',
    "drift": '"2 %"',
    "memory": '">= 16 GB"',
    "cores": '">= 8"',
    "bought": '"9000 USD"',
    "power": '"0.25 USD/kWh"',
}
_PATTERNS: dict[str, str] = {}


def pattern(expression: str, words: str) -> str:
    """The regular expression itself; what does not match it ``must be`` what ``words`` say."""
    _PATTERNS[expression] = words
    return expression


def merged(problems: Sequence[Mapping[str, Any]]) -> Iterator[tuple[tuple[str, ...], list[Mapping[str, Any]]]]:
    """The validator's problems by place; what one alternative of a union says is dropped where another went deeper."""
    by_place: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for problem in problems:
        place = tuple(str(part) for n, part in enumerate(problem["loc"]) if n == 0 or not _TAGS.match(str(part)))
        by_place.setdefault(place, []).append(problem)
    for place, found in by_place.items():
        if not any(other != place and other[: len(place)] == place for other in by_place):
            yield place, found


def must_be(place: Sequence[str], problems: Iterable[Mapping[str, Any]]) -> str:
    """``must be text in quotes or a table``: what was expected at a place, each alternative once."""
    found = list(problems)
    key, kinds = place[-1] if place else "", [problem["type"] for problem in found]
    if key in _EMPTY and kinds == ["too_short"]:
        return _EMPTY[key]
    if len(place) == 1 and key in _TABLES and kinds == ["list_type"]:
        return f"must be a list of tables: write {_TABLES[key]} with two brackets"
    if kinds[0] == "string_type" and set(kinds) <= {"string_type", "list_type"}:
        example = _EXAMPLES["targets"] if place[0] == "targets" else _EXAMPLES.get(key)
        if example:
            return f"must be text in quotes, as in {example}"
    for problem in found:
        if problem["type"] in ("value_error", "assertion_error"):
            return str(problem["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
    return f"must be {' or '.join(dict.fromkeys(map(_expected, found)))}"


def _expected(problem: Mapping[str, Any]) -> str:
    kind, context = problem["type"], problem.get("ctx", {})
    if kind == "literal_error":
        names = re.findall(r"'([^']*)'", context["expected"])
        near = difflib.get_close_matches(str(problem["input"]), names, n=1, cutoff=0.5)
        return f"{context['expected']}{f'; did you mean {near[0]!r}?' if near else ''}"
    if kind == "string_pattern_mismatch":
        return _PATTERNS.get(context["pattern"], "written in another way")
    if kind == "string_too_short":
        return "text that is not empty"
    if kind == "too_short":
        least = context["min_length"]
        return f"given at least {least} {'entry' if least == 1 else 'entries'}"
    if kind in _LIMITS:
        return _LIMITS[kind].format(**context)
    return _KINDS.get(kind, "another kind of value")
