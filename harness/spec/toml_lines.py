"""At which line of a TOML file each table and key is: no reader of TOML says it."""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_left
from collections.abc import Mapping, Sequence

Place = tuple[str | int, ...]
"""A way into the parsed file: keys of tables, places in arrays of tables."""

_KEY = r"""(?:[A-Za-z0-9_-]+|"(?:\\.|[^"\\\n])*"|'[^'\n]*')"""
_DOTTED = rf"{_KEY}(?:[ \t]*\.[ \t]*{_KEY})*"
_ITEM = re.compile(rf"[ \t]*(?:(?P<open>\[\[?)[ \t]*(?P<table>{_DOTTED})[ \t]*\]\]?|(?P<key>{_DOTTED})[ \t]*=)")
# Strings and comments are eaten whole, so that what looks like a bracket or a line's end within them is none.
_VALUE = re.compile(
    r"""
    \"\"\"(?:\\.|[^\\])*?\"{3,5}
    | '''.*?'{3,5}
    | "(?:\\.|[^"\\\n])*"
    | '[^'\n]*'
    | \#[^\n]*
    | (?P<open>[\[{])
    | (?P<close>[\]}])
    | (?P<end>\n)
    | [^"'\#\[\]{}\n]+
    | .
    """,
    re.VERBOSE | re.DOTALL,
)


def table_lines(text: str) -> dict[Place, int]:
    """The line, from 1, of each table and key of a text that is TOML; keys of inline tables are left out."""
    ends = [match.start() for match in re.finditer("\n", text)]
    found: dict[Place, int] = {}
    arrays: dict[Place, int] = {}
    table: Place = ()
    position = 0
    while position < len(text):
        item = _ITEM.match(text, position)
        if item is not None:
            names = _names(item["table"] or item["key"])
            if item["table"]:
                table = _placed((), names[:-1], arrays)
                place = (*table, names[-1])
                if item["open"] == "[[":
                    arrays[place] = arrays.get(place, -1) + 1
                table = place = (*place, arrays[place]) if place in arrays else place
            else:
                place = (*table, *names)
            found.setdefault(place, bisect_left(ends, item.end() - 1) + 1)
            position = item.end()
        position = _line_end(text, position)
    return found


def line_of(lines: Mapping[Place, int], place: Sequence[str | int]) -> int | None:
    """The line of a place, or of the nearest table around it; None where none is known."""
    for count in range(len(place), 0, -1):
        if (line := lines.get(tuple(place[:count]))) is not None:
            return line
    return None


def target_lines(text: str) -> dict[tuple[str, str], int]:
    """The line of each (KPI, metric); of (KPI, "") the first of its table. Empty for a text that is not TOML."""
    try:
        kpis = tomllib.loads(text).get("kpi", ())
    except (ValueError, RecursionError):
        return {}
    lines = table_lines(text)
    found: dict[tuple[str, str], int] = {}
    for index, kpi in enumerate(kpis if isinstance(kpis, list) else ()):
        if not isinstance(kpi, dict) or (first := line_of(lines, ("kpi", index))) is None:
            continue
        name, targets = str(kpi.get("name")), kpi.get("targets")
        found.setdefault((name, ""), first)
        for metric in targets if isinstance(targets, dict) else ():
            found.setdefault((name, metric), line_of(lines, ("kpi", index, "targets", metric)) or first)
    return found


def _names(dotted: str) -> list[str]:
    """``a."b.c"`` as its keys, without quotes."""
    keys = [match[0] for match in re.finditer(_KEY, dotted)]
    return [next(iter(tomllib.loads(f"{key} = 0"))) for key in keys]


def _placed(start: Place, names: Sequence[str], arrays: Mapping[Place, int]) -> Place:
    """Where a dotted name leads: in an array of tables to the last one so far."""
    place = start
    for name in names:
        place = (*place, name)
        if place in arrays:
            place = (*place, arrays[place])
    return place


def _line_end(text: str, position: int) -> int:
    """After the end of the line on which the value, or the header, at ``position`` ends."""
    depth = 0
    for token in _VALUE.finditer(text, position):
        depth += bool(token["open"]) - bool(token["close"])
        if token["end"] and depth <= 0:
            return token.end()
    return len(text)
