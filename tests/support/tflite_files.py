"""Models in TFLite's format, written without a converter: one dense layer, in floating point or in integers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass
class Made:
    """A graph while it is written: tensors by place, buffers, operators."""

    schema: Any
    tensors: list[Any] = field(default_factory=list)
    buffers: list[Any] = field(default_factory=list)
    codes: list[Any] = field(default_factory=list)
    operators: list[Any] = field(default_factory=list)

    def tensor(
        self,
        name: str,
        shape: Sequence[int | None],
        dtype: str = "float32",
        values: Array | None = None,
        scale: tuple[float, int] | None = None,
    ) -> int:
        """Sizes that are None vary; the place of the tensor."""
        made = self.schema.TensorT()
        made.name, made.shape = name, [size or 1 for size in shape]
        if None in shape:
            made.shapeSignature = [-1 if size is None else size for size in shape]
        made.type = getattr(self.schema.TensorType, dtype.upper())
        if scale is not None:
            made.quantization = self.schema.QuantizationParametersT()
            made.quantization.scale, made.quantization.zeroPoint = [scale[0]], [scale[1]]
        buffer = self.schema.BufferT()
        if values is not None:
            buffer.data = list(np.ascontiguousarray(values).tobytes())
        made.buffer = len(self.buffers)
        self.buffers.append(buffer)
        self.tensors.append(made)
        return len(self.tensors) - 1

    def operator(self, name: str, inputs: Sequence[int], output: int, options: Any = None) -> None:
        """One of the format's own operators, or a custom one where it has none of that name."""
        code, known = self.schema.OperatorCodeT(), getattr(self.schema.BuiltinOperator, name, None)
        code.builtinCode = self.schema.BuiltinOperator.CUSTOM if known is None else known
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        code.version = 4 if name == "FULLY_CONNECTED" else 1
        if known is None:
            code.customCode = name
        made = self.schema.OperatorT()
        made.opcodeIndex, made.inputs, made.outputs = len(self.codes), list(inputs), [output]
        if options is not None:
            made.builtinOptions = options
            made.builtinOptionsType = getattr(self.schema.BuiltinOptions, type(options).__name__.removesuffix("T"))
        self.codes.append(code)
        self.operators.append(made)

    def save(self, file: Path, inputs: Sequence[int], outputs: Sequence[int], names: Sequence[str] = ()) -> Path:
        """Writes it; ``names`` are those of inputs and outputs in the file's signature, none without one."""
        import flatbuffers

        graph, model = self.schema.SubGraphT(), self.schema.ModelT()
        graph.name, graph.tensors, graph.operators = "main", self.tensors, self.operators
        graph.inputs, graph.outputs = list(inputs), list(outputs)
        model.version, model.subgraphs, model.operatorCodes, model.buffers = 3, [graph], self.codes, self.buffers
        if names:
            signature = self.schema.SignatureDefT()
            signature.signatureKey, signature.subgraphIndex = "serving_default", 0
            signature.inputs, signature.outputs = [], []
            for name, place in zip(names, (*inputs, *outputs), strict=True):
                entry = self.schema.TensorMapT()
                entry.name, entry.tensorIndex = name, place
                (signature.inputs if place in inputs else signature.outputs).append(entry)
            model.signatureDefs = [signature]
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
        file.write_bytes(builder.Output())
        return file


def opened() -> Made:
    """A graph without anything in it."""
    from ai_edge_litert import schema_py_generated

    return Made(schema_py_generated)


def dense(
    file: Path,
    weight: Array,
    *,
    kind: str = "float",
    batch: int | None = None,
    names: Sequence[str] = (),
    spread: float = 4.0,
) -> Path:
    """``scores = image @ weight.T``; ``weight`` is (outputs, inputs).

    ``kind`` is "float", "hybrid" (weights in INT8, ranges of activations as they come) or "int8" throughout; then
    inputs lie within 1 and outputs within ``spread``.
    """
    made = opened()
    outputs, inputs = weight.shape
    step = float(np.abs(weight).max()) / 127
    whole = np.rint(weight / step).astype(np.int8)
    integer = kind == "int8"
    x = made.tensor(
        "serving_default_image:0",
        (batch, inputs),
        "int8" if integer else "float32",
        scale=(1 / 127, 0) if integer else None,
    )
    if kind == "float":
        w = made.tensor("weight", weight.shape, values=weight.astype(np.float32))
    else:
        w = made.tensor("weight", weight.shape, "int8", whole, (step, 0))
    scale = (spread / 127, 0) if integer else None
    y = made.tensor("scores", (batch, outputs), "int8" if integer else "float32", scale=scale)
    made.operator("FULLY_CONNECTED", (x, w, -1), y, made.schema.FullyConnectedOptionsT())
    return made.save(file, (x,), (y,), names)
