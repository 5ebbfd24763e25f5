"""How many multiplications an operator takes, from the shapes of what it reads and gives."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

Shape = Sequence[int]
_MOST = 5
_GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}

TFLITE_HEAVY: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {
        "CONV_2D": (1,),
        "DEPTHWISE_CONV_2D": (1,),
        "CONV_3D": (1,),
        "TRANSPOSE_CONV": (1,),
        "CONV_3D_TRANSPOSE": (1,),
        "FULLY_CONNECTED": (1,),
        "BATCH_MATMUL": (1,),
        "LSTM": (*range(1, 9), 16),
        "UNIDIRECTIONAL_SEQUENCE_LSTM": (*range(1, 9), 16),
        "BIDIRECTIONAL_SEQUENCE_LSTM": (*range(1, 9), 16, *range(18, 26), 33),
        "RNN": (1, 2),
        "UNIDIRECTIONAL_SEQUENCE_RNN": (1, 2),
        "BIDIRECTIONAL_SEQUENCE_RNN": (1, 2, 5, 6),
        "SVDF": (1, 2),
    }
)
"""TFLite's heavy operators, each with the places of its weights among its inputs, as its schema has them."""


@dataclass(frozen=True, slots=True)
class HeavyOp:
    """A convolution, matrix product or recurrent layer as executed; ``work`` in multiplications, None if unknown."""

    name: str
    kind: str
    integer: bool
    work: int | None


def weighed(ops: Iterable[HeavyOp], runs: int = 1) -> dict[str, Any]:
    """The fields of a Proof that heavy operations, seen over ``formats`` equal requests, give.

    ``float_layers`` are those that ran in floating point, the heaviest first, each with its share of all
    multiplications. Where the work of one operation is not known, none is said: a share of the others would mislead.
    """
    seen = list(ops)
    counted = {"heavy_ops": len(seen) // runs, "integer_ops": sum(op.integer for op in seen) // runs}
    total = sum(op.work or 0 for op in seen)
    if not total or any(op.work is None for op in seen):
        return counted
    plain: dict[tuple[str, str], int] = {}
    for op in seen:
        if not op.integer:
            plain[op.name, op.kind] = plain.get((op.name, op.kind), 0) + (op.work or 0)
    heaviest = sorted(plain.items(), key=lambda item: -item[1])[:_MOST]
    return {
        **counted,
        "heavy_work": total // runs,
        "integer_work": sum(op.work or 0 for op in seen if op.integer) // runs,
        "float_layers": tuple((name, kind, work / total) for (name, kind), work in heaviest),
    }


def convolution(out: Shape, weight: Shape, channels: int) -> int:
    """Multiplications of a convolution that gives ``out`` in all; ``channels`` of them, whatever the layout."""
    return math.prod(out) * math.prod(weight) // channels


def recurrent(steps: int, weights: Iterable[Shape]) -> int:
    """Multiplications of a recurrent layer: in each of ``steps`` (of each sample) all of its weights are used once."""
    return steps * sum(math.prod(weight) for weight in weights)


def onnx_work(kind: str, inputs: Sequence[Shape | None], outputs: Sequence[Shape], *, transposed: bool) -> int | None:
    """Multiplications of an ONNX operator of type ``kind`` (ONNX Runtime's own too); None where they are not known.

    ``inputs`` are the shapes of its inputs in order, None for one that is not known; ``transposed`` says whether the
    first factor of a product is.
    """
    if not outputs or not inputs or not inputs[0]:
        return None
    first, out = inputs[0], outputs[0]
    cell = next((name for name in _GATES if name in kind), None)
    if cell is not None:
        return _onnx_recurrent(_GATES[cell], first, out)
    if "Attention" in kind:
        return _attention(kind, inputs)
    if "Conv" in kind:
        weight = dict(enumerate(inputs)).get(3 if kind.startswith("QLinear") else 1)
        return convolution(first if "Transpose" in kind else out, weight, weight[0]) if weight else None
    return math.prod(out) * (first[-2] if transposed and len(first) > 1 else first[-1])


def _onnx_recurrent(gates: int, x: Shape, out: Shape) -> int:
    """``x`` is (steps, batch, width), ``out`` the states (steps, directions, batch, hidden), or only the last ones."""
    steps, batch, width = x
    hidden, directions = out[-1], out[-3]
    return recurrent(steps * batch, [(directions, gates * hidden, width + hidden)])


def _attention(kind: str, inputs: Sequence[Shape | None]) -> int | None:
    """Of the fused kinds: the two products of queries with keys and of weights with values, and what makes these."""
    query, second = inputs[0], inputs[1] if len(inputs) > 1 else None
    if query is None or second is None or len(query) != 3 or kind.endswith("GroupQueryAttention"):  # noqa: PLR2004
        return None
    samples, length, width = query
    if kind in ("Attention", "QAttention"):
        return samples * length * math.prod(second) + 2 * samples * length**2 * second[-1] // 3
    return 2 * samples * length * second[1] * width if len(second) == 3 else None  # noqa: PLR2004


def tflite_work(kind: str, inputs: Sequence[Shape | None], out: Shape) -> int | None:
    """Multiplications of one of ``TFLITE_HEAVY``; None where a shape is missing.

    ``inputs`` are the shapes of its inputs in order, None for one that is left out.
    """
    weights = [inputs[place] for place in TFLITE_HEAVY[kind] if place < len(inputs)]
    known = [shape for shape in weights if shape is not None]
    first = inputs[2] if "TRANSPOSE" in kind and len(inputs) > 2 else inputs[0]  # noqa: PLR2004 - after shape and weights
    if not known or not first:
        return None
    weight = known[0]
    if kind == "BATCH_MATMUL":
        # Either factor may be transposed.
        return math.prod(out) * first[-1] * first[-2] // out[-2]
    if kind == "FULLY_CONNECTED":
        return math.prod(out) * weight[-1]
    if "TRANSPOSE" in kind:
        return convolution(first, weight, weight[-1])
    if "CONV" in kind:
        return convolution(out, weight, weight[0] if kind == "CONV_2D" else weight[-1])
    return recurrent(math.prod(first[:-1]), known)
