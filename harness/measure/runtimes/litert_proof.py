"""What LiteRT's interpreter says of itself: what its delegate took, which heavy operators compute with integers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from harness.core.tflite import TfliteModel
from harness.measure.runtimes.work import TFLITE_HEAVY, HeavyOp, tflite_work, weighed

_DELEGATE = "DELEGATE"
_INTEGERS = frozenset({"int8", "uint8", "int4", "int2"})
_OPAQUE = frozenset({"WHILE", "IF", "CALL", "STABLEHLO_COMPOSITE", "STABLEHLO_WHILE", "STABLEHLO_DOT_GENERAL"})
"""Operators that have a graph of their own, or one that is not looked into."""
_NAMED = 5


def delegated(interpreter: Any) -> dict[str, Any]:
    """How many operators the delegate took, and which kinds it left to the interpreter's own kernels."""
    ops = _operators(interpreter)
    plain = [op for op in ops if op["op_name"] != _DELEGATE]
    makers = {int(tensor): op for op in plain for tensor in op["outputs"]}
    taken: set[int] = set()
    for one in (op for op in ops if op["op_name"] == _DELEGATE):
        # Backwards from what the delegate gives to what it takes.
        begin, waiting = set(map(int, one["inputs"])), list(map(int, one["outputs"]))
        while waiting:
            tensor = waiting.pop()
            if tensor in begin or tensor not in makers or makers[tensor]["index"] in taken:
                continue
            taken.add(makers[tensor]["index"])
            waiting += map(int, makers[tensor]["inputs"])
    left = Counter(str(op["op_name"]) for op in plain if op["index"] not in taken)
    return {
        "delegate": "XNNPACK" if taken else "none",
        "delegated": f"{len(taken)} of {len(plain)} operators",
        "not_delegated": dict(left.most_common(_NAMED)),
    }


def inside(model: TfliteModel, *, weigh: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """The fields of a Proof on heavy operators; how many of those in integers are of a kind.

    ``weigh`` runs a request of the last size once more, to know their work.

    Integers are those whose weights are: with activations in floating point, LiteRT's kernels and XNNPACK's take
    the ranges of these as they come and multiply integers. Weights that are turned into floating point by an operator
    of their own are not among them.
    """
    if _OPAQUE.intersection(model.operators):
        return {}, {}
    shown = model
    if weigh:
        # A delegate keeps the shapes of what is inside it to itself: the same request without one shows them all.
        shown = TfliteModel(model.file, delegated=False)
        shown.run(model.zeros())
    tensors = {int(one["index"]): one for one in shown.interpreter.get_tensor_details()}
    found, kinds = [], Counter[str]()
    for op in _operators(shown.interpreter):
        kind = str(op["op_name"])
        if kind not in TFLITE_HEAVY:
            continue
        taken = [tensors.get(int(place)) for place in op["inputs"]]
        given = tensors[int(op["outputs"][0])]
        integer = any(_dtype(taken[place]) in _INTEGERS for place in TFLITE_HEAVY[kind] if place < len(taken))
        if integer and _dtype(given) not in _INTEGERS:
            kinds["int16_activations" if _dtype(given) == "int16" else "dynamic_ranges"] += 1
        shapes = [None if one is None else tuple(map(int, one["shape"])) for one in taken]
        work = tflite_work(kind, shapes, tuple(map(int, given["shape"]))) if weigh else None
        # Of operators that the converter joined the names are joined too.
        name = max(str(given["name"]).split(";"), key=len)
        found.append(HeavyOp(name, kind, integer, work))
    return weighed(found), dict(kinds)


def _operators(interpreter: Any) -> list[Mapping[str, Any]]:
    """Those of the file, and those of delegates that stand for some of them."""
    # Nothing public says it.
    return list(interpreter._get_ops_details())  # noqa: SLF001


def _dtype(tensor: Mapping[str, Any] | None) -> str:
    import numpy as np

    return "" if tensor is None else str(np.dtype(tensor["dtype"]))
