"""JSON that every reader understands alike: no key twice, no number that JSON does not know."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any


def parsed(text: bytes | str) -> Any:
    """What JSON says; ValueError where two readers could read it differently, or where it is not JSON."""
    try:
        return json.loads(text, object_pairs_hook=_once, parse_constant=_constant)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def canonical(data: object) -> bytes:
    """JSON as one line: keys sorted, no blanks, ASCII, a line feed at the end. The same data are the same bytes."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r:.60} is there twice")
    return found


def _constant(name: str) -> float:
    raise ValueError(f"{name} is not a number of JSON")
