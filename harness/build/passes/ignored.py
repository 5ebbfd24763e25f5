"""The option ``ignored``: operators that stay in floating point, chosen by name, type or pattern."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.core.errors import KpiError, suggest

Ignored = Mapping[str, Sequence[str]]
_KEYS = ("names", "types", "patterns")
# What is quantized in the first place, under ONNX's and OpenVINO's names: listed first when a name is wrong.
_HEAVY = ("Conv", "Gemm", "MatMul", "FullyConnected", "LSTM", "GRU", "RNN")


def check_ignored(ignored: Ignored | None) -> None:
    """Refuses unknown keys, empty lists and patterns that are no regular expressions; ValueError says which."""
    for key, values in (ignored or {}).items():
        if key not in _KEYS:
            raise ValueError(f"ignored: {suggest(key, _KEYS, 'key')}")
        if not values:
            raise ValueError(f"ignored: {key} is empty")
    for pattern in (ignored or {}).get("patterns", ()):
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"ignored: {pattern!r} is not a regular expression: {error}") from None


def select(ignored: Ignored | None, operators: Iterable[tuple[str, str]]) -> list[int]:
    """The places of the operators, each a (name, type), that ``ignored`` chooses; a pattern must fit the whole name.

    Raises KpiError where an entry chooses nothing, with what there is.
    """
    there = list(operators)
    chosen: set[int] = set()
    for key, values in (ignored or {}).items():
        for value in values:
            found = {place for place, (name, kind) in enumerate(there) if _fits(key, value, name, kind)}
            if not found:
                raise KpiError(_nothing(key, value, there), "names and types are those of the model that is read")
            chosen |= found
    return sorted(chosen)


def named_operators(model: Any) -> list[tuple[str, str]]:
    """The operators of an OpenVINO model, each a (name, type), without its inputs, outputs and constants."""
    found = [(op.get_friendly_name(), op.get_type_name()) for op in model.get_ordered_ops()]
    return [(name, kind) for name, kind in found if kind not in ("Constant", "Parameter", "Result")]


def ignored_in_onnx(ignored: Ignored | None, source: Any, prepared: Any) -> list[str]:
    """The names of the operators of ``prepared`` (a GraphProto) that ``ignored`` chooses.

    Names and types may be those of ``source``, the graph before it was prepared: of an operator that was fused with
    the ones behind it, the fused one is taken. Raises KpiError where an entry chooses nothing.
    """
    if not ignored:
        return []
    before, after = list(source.node), list(prepared.node)
    operators = [(node.name, node.op_type) for node in (*before, *after)]
    makers = {output: node for node in after for output in node.output}
    found: dict[str, None] = {}
    for place in select(ignored, operators):
        node = after[place - len(before)] if place >= len(before) else _fused(before[place], before, makers)
        if node is not None:
            found[node.name] = None
    if not found:
        raise KpiError("ignored: what it names was folded into constants when the graph was prepared", "leave it out")
    return list(found)


def _fused(node: Any, nodes: Sequence[Any], makers: Mapping[str, Any]) -> Any:
    """The operator that gives what ``node`` gave, or what the only operator behind it gave, and so on."""
    while True:
        for output in node.output:
            if output in makers:
                return makers[output]
        behind = [other for other in nodes if any(output in other.input for output in node.output)]
        if len(behind) != 1:
            return None
        node = behind[0]


def _fits(key: str, value: str, name: str, kind: str) -> bool:
    if key == "types":
        return kind == value
    return bool(name) and (name == value if key == "names" else re.fullmatch(value, name) is not None)


def _nothing(key: str, value: str, there: Sequence[tuple[str, str]]) -> str:
    if key == "types":
        return f"ignored: {suggest(value, {kind for _, kind in there}, 'type of operator')}"
    heavy = {name for name, kind in there if name and any(word in kind for word in _HEAVY)}
    names = heavy or {name for name, _ in there if name}
    if key == "names":
        return f"ignored: {suggest(value, names, 'operator')}"
    shown = ", ".join(sorted(names)[:20]) + (", ..." if len(names) > 20 else "")  # noqa: PLR2004 - as many as suggest
    return f"ignored: no operator's whole name fits {value!r} (there are: {shown})"
