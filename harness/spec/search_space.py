"""The space that is searched: a recipe's table in which any value may be a choice or a range.

=====================================  ================================================================
written                                means
=====================================  ================================================================
``{ choice = [0.5, 1.0] }``            one of these; tables and lists may be choices too
``{ low = 1, high = 4 }``              a number from low to high; whole where both are
``..., step = 2``, ``..., log = true`` every second one; drawn evenly over orders of magnitude
``..., optional = true``               the key may also be left out
=====================================  ================================================================

In ``passes`` a choice may give a list: its passes are inserted, none where it is empty.
"""

from __future__ import annotations

import json
import math
import reprlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from harness.core.errors import suggest

ABSENT = "left out"
"""The label of an optional key that is not written."""
_CHOICE = frozenset({"choice", "optional"})
_RANGE = frozenset({"low", "high", "step", "log", "optional"})
_MOST = 2000

Say = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several values, each with its label; ``optional`` adds that the key is left out."""

    values: Mapping[str, Any]
    optional: bool = False

    @property
    def labels(self) -> tuple[str, ...]:
        """What can be picked."""
        return (*self.values, ABSENT) if self.optional else tuple(self.values)


@dataclass(frozen=True, slots=True)
class Range:
    """A number between two ends, both included; ``step`` is None for every real number."""

    low: float
    high: float
    step: float | None = None
    log: bool = False

    @property
    def whole(self) -> bool:
        """Whether all its numbers are integers."""
        return all(isinstance(value, int) for value in (self.low, self.high, self.step or 1.0))

    @property
    def ends(self) -> tuple[float, float]:
        """The first and the last number."""
        if self.step is None:
            return self.low, self.high
        return self.low, self.low + self.step * math.floor((self.high - self.low) / self.step + 1e-9)


Node = Choice | Range
Picked = Mapping[str, Any]
"""What was picked: by the place in the table, a choice's label or a number."""


class Unpicked(LookupError):
    """Nothing was picked yet for a node."""

    def __init__(self, place: str, node: Node) -> None:
        super().__init__(place)
        self.place = place
        self.node = node


def parse(data: Any, place: str, say: Say) -> Any:
    """A table of TOML with its choices and ranges as nodes; what is wrong with one is told with its place."""
    if isinstance(data, list):
        return [parse(item, f"{place}[{index}]", say) for index, item in enumerate(data)]
    if not isinstance(data, dict):
        return data
    if "choice" in data:
        return _choice(data, place, say)
    if "low" in data or "high" in data:
        return _range(data, place, say)
    return {key: parse(value, f"{place}.{key}" if place else key, say) for key, value in data.items()}


def _unknown(data: Mapping[str, Any], known: frozenset[str], place: str, say: Say) -> None:
    for key in data:
        if key not in known:
            say(place, suggest(key, known, "key"))


def _choice(data: Mapping[str, Any], place: str, say: Say) -> Any:
    _unknown(data, _CHOICE, place, say)
    values, optional = data["choice"], data.get("optional", False)
    if not isinstance(values, list) or not values:
        say(place, f"choice = {reprlib.repr(values)}: must be a list of at least one value")
        return None
    if not isinstance(optional, bool):
        say(place, f"optional = {reprlib.repr(optional)}: must be true or false")
    labelled: dict[str, Any] = {}
    for index, value in enumerate(values):
        label = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
        if label in labelled or label == ABSENT:
            say(place, f"choice: {reprlib.repr(value)} is there twice")
        labelled[label] = parse(value, f"{place}<{index}>", say)
    return Choice(labelled, optional is True)


def _range(data: Mapping[str, Any], place: str, say: Say) -> Any:
    _unknown(data, _RANGE, place, say)
    numbers: dict[str, Any] = {key: data.get(key) for key in ("low", "high", "step")}
    for key, value in numbers.items():
        if value is None and key == "step":
            continue
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            say(place, f"{key} = {reprlib.repr(value)}: must be a number" if key in data else f'"{key}" is missing')
            return None
    low, high, step = numbers["low"], numbers["high"], numbers["step"]
    log, optional = data.get("log", False), data.get("optional", False)
    if not isinstance(log, bool) or not isinstance(optional, bool):
        say(place, "log and optional must be true or false")
    elif low > high:
        say(place, f"low = {low} is above high = {high}")
    elif step is not None and step <= 0:
        say(place, f"step = {step}: must be above 0")
    elif log and (low <= 0 or step is not None):
        say(place, "log: needs low above 0, and no step")
    whole = isinstance(low, int) and isinstance(high, int)
    made = Range(low, high, 1 if whole and step is None and not log else step, log is True)
    return Choice({"given": made}, optional=True) if optional is True else made


def expand(node: Any, pick: Callable[[str, Node], Any], place: str = "") -> Any:
    """The plain table: at each node, what ``pick(place, node)`` says; a label of a choice, a number of a range."""
    if isinstance(node, Choice):
        label = pick(place, node)
        if label == ABSENT:
            return ABSENT_VALUE
        return expand(node.values[label], pick, f"{place}<{list(node.values).index(label)}>")
    if isinstance(node, Range):
        return pick(place, node)
    if isinstance(node, dict):
        made = {key: expand(value, pick, f"{place}.{key}" if place else key) for key, value in node.items()}
        return {key: value for key, value in made.items() if value is not ABSENT_VALUE}
    if isinstance(node, list):
        items: list[Any] = []
        for index, item in enumerate(node):
            value = expand(item, pick, f"{place}[{index}]")
            if isinstance(item, Choice) and isinstance(value, list) and place.rpartition(".")[2] == "passes":
                items += value
            elif value is not ABSENT_VALUE:
                items.append(value)
        return items
    return node


class _Absent:
    """A value that is not written."""


ABSENT_VALUE = _Absent()


def with_picked(template: Any, picked: Picked) -> Any:
    """The plain table for what was picked; Unpicked names the first node without."""

    def pick(place: str, node: Node) -> Any:
        if place not in picked:
            raise Unpicked(place, node)
        return picked[place]

    return expand(template, pick)


def every(template: Any, most: int = _MOST) -> list[Picked] | None:
    """Everything that can be picked; None when there is more than ``most`` of it, or no end to it."""
    found: list[Picked] = []
    open_: list[dict[str, Any]] = [{}]
    while open_:
        picked = open_.pop()
        try:
            with_picked(template, picked)
        except Unpicked as missing:
            values = alternatives(missing.node)
            if values is None or len(found) + len(open_) + len(values) > most:
                return None
            open_ += [{**picked, missing.place: value} for value in reversed(values)]
        else:
            found.append(picked)
    return found


def alternatives(node: Node) -> list[Any] | None:
    """All that a node offers; None where that has no end."""
    if isinstance(node, Choice):
        return list(node.labels)
    if node.step is None and not node.whole:
        return None
    step = node.step or 1
    if (node.high - node.low) / step > _MOST:
        return None
    return [node.low + step * index for index in range(round((node.ends[1] - node.low) / step) + 1)]


def covering(template: Any) -> Iterator[Any]:
    """Plain tables that show each alternative of each choice, both ends of each range, at least once."""
    seen: set[tuple[str, Any]] = set()
    waiting: list[dict[str, Any]] = [{}]
    while waiting and len(seen) < _MOST:
        asked = waiting.pop(0)
        met: dict[str, Any] = {}

        def pick(place: str, node: Node, asked: dict[str, Any] = asked, met: dict[str, Any] = met) -> Any:
            offered = list(node.labels) if isinstance(node, Choice) else list(dict.fromkeys(node.ends))
            chosen = asked.get(place, offered[0])
            for other in offered:
                if (place, other) not in seen:
                    seen.add((place, other))
                    if other != chosen:
                        waiting.append({**asked, **met, place: other})
            met[place] = chosen
            return chosen

        yield expand(template, pick)
