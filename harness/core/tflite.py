"""A ``.tflite`` file in LiteRT's interpreter, asked by name: what a pass reads, compares and a process measures."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.errors import KpiError, Unavailable, reason
from harness.core.libraries import require

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Arrays = Mapping[str, npt.NDArray[np.generic]]

DISTRIBUTION = "ai-edge-litert"
_MAGIC, _PLACE = b"TFL3", slice(4, 8)
USUAL = "serving_default"
_SCALED = ("int8", "uint8", "int16")
_OWN_STATE = frozenset(
    {
        "UNIDIRECTIONAL_SEQUENCE_LSTM",
        "BIDIRECTIONAL_SEQUENCE_LSTM",
        "UNIDIRECTIONAL_SEQUENCE_RNN",
        "BIDIRECTIONAL_SEQUENCE_RNN",
        "LSTM",
        "RNN",
        "SVDF",
    }
)
"""Operators that keep what they computed for the next request: forgotten before each."""
_VARIABLES = frozenset({"VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE"})
"""Operators of state that the interpreter can't be told to forget."""


@dataclass(frozen=True, slots=True)
class TfliteTensor:
    """An input or output; ``shape`` has None where a size may vary, ``dtype`` is what the file holds.

    Where ``scale`` is not 0, integers stand for floating point: (integer - ``zero_point``) * ``scale``.
    """

    name: str
    index: int
    dtype: str
    shape: tuple[int | None, ...]
    scale: float = 0.0
    zero_point: int = 0

    @property
    def seen_as(self) -> str:
        """The type of the arrays that are given and returned: integers with a scale are seen as what they mean."""
        return "float32" if self.scale else self.dtype

    @property
    def range(self) -> tuple[float, float]:
        """The least and the greatest number that integers with a scale can say."""
        import numpy as np

        limits = np.iinfo(self.dtype)
        return (limits.min - self.zero_point) * self.scale, (limits.max - self.zero_point) * self.scale

    def stored(self, values: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        """``values`` as the file takes them; integers of its own type are taken as they are."""
        import numpy as np

        if not self.scale or values.dtype == self.dtype:
            return values
        limits = np.iinfo(self.dtype)
        rounded = np.rint(values.astype(np.float32) / np.float32(self.scale)) + np.float32(self.zero_point)
        kept: npt.NDArray[np.generic] = np.clip(rounded, limits.min, limits.max).astype(self.dtype)
        return kept

    def meant(self, values: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        """What the file answers, in floating point where it has a scale."""
        import numpy as np

        if not self.scale:
            return values
        return (values.astype(np.float32) - np.float32(self.zero_point)) * np.float32(self.scale)

    def __str__(self) -> str:
        return f"{self.name} ({self.dtype}, scale {self.scale:.4g}, zero point {self.zero_point})"


class TfliteModel:
    """One interpreter of a file; not for several threads at once.

    ``delegated`` says whether XNNPACK may take what it can. Raises Unavailable without LiteRT, KpiError, with the
    reason, for what is not such a file.
    """

    def __init__(self, file: Path, *, threads: int | None = None, delegated: bool = True) -> None:
        library = require("ai_edge_litert.interpreter", DISTRIBUTION, "LiteRT")
        with file.open("rb") as opened:
            if opened.read(_PLACE.stop)[_PLACE] != _MAGIC:
                raise KpiError(
                    f"{file.name} is not a TFLite model: it does not begin with {_MAGIC.decode()}",
                    "fetch or convert it again",
                )
        resolvers = library.OpResolverType
        chosen = resolvers.AUTO if delegated else resolvers.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        try:
            self.interpreter = library.Interpreter(
                model_path=str(file), num_threads=threads, experimental_op_resolver_type=chosen
            )
        except (ValueError, RuntimeError) as error:
            raise KpiError(
                f"{file.name} is not a TFLite model, or a truncated one: {reason(error)}", "fetch or convert it again"
            ) from error
        self.file = file
        self.inputs, self.outputs = self._ports()
        # Before a delegate has taken them.
        self.operators = [str(one["op_name"]) for one in self.interpreter._get_ops_details()]  # noqa: SLF001
        self._forgets = bool(_OWN_STATE.intersection(self.operators))
        self._shapes: dict[str, tuple[int, ...]] = {}

    @property
    def remembers(self) -> bool:
        """Whether its answers depend on the requests before, as long as the interpreter lives."""
        return bool(_VARIABLES.intersection(self.operators))

    def prepare(self, batch: int | None = None) -> None:
        """Allocates what requests need, for batches of ``batch`` where the first axis may vary.

        Where another size is open, the first request brings it. Raises what the library raises.
        """
        if any(None in port.shape[1:] for port in self.inputs):
            return
        for port in self.inputs if batch else ():
            if port.shape and port.shape[0] is None:
                self._resize(port, (batch or 1, *(size or 1 for size in port.shape[1:])))
        self.interpreter.allocate_tensors()

    def run(self, feeds: Arrays) -> dict[str, npt.NDArray[np.generic]]:
        """Runs one batch; raises what the library raises."""
        if changed := [p for p in self.inputs if p.name in feeds and feeds[p.name].shape != self._shapes.get(p.name)]:
            for port in changed:
                self._resize(port, feeds[port.name].shape)
            self.interpreter.allocate_tensors()
        if self._forgets:
            self.interpreter.reset_all_variables()
        for port in self.inputs:
            if port.name in feeds:
                self.interpreter.set_tensor(port.index, port.stored(feeds[port.name]))
        self.interpreter.invoke()
        return {port.name: port.meant(self.interpreter.get_tensor(port.index)) for port in self.outputs}

    def zeros(self) -> dict[str, npt.NDArray[np.generic]]:
        """A request of the size of the last one, of zeros."""
        import numpy as np

        return {
            port.name: np.zeros(self._shapes.get(port.name, tuple(size or 1 for size in port.shape)), port.dtype)
            for port in self.inputs
        }

    def _resize(self, port: TfliteTensor, shape: Sequence[int]) -> None:
        if None in port.shape:
            self.interpreter.resize_tensor_input(port.index, shape, strict=True)
        self._shapes[port.name] = tuple(shape)

    def _ports(self) -> tuple[tuple[TfliteTensor, ...], tuple[TfliteTensor, ...]]:
        """Under the names of the file's signature where it has one, else under those of its tensors."""
        inputs, outputs = self.interpreter.get_input_details(), self.interpreter.get_output_details()
        known = self.interpreter.get_signature_list()
        if len(known) > 1 and USUAL not in known:
            raise KpiError(
                f"{self.file.name} has several signatures: {', '.join(known)}", "convert each to a file of its own"
            )
        if known:
            runner = self.interpreter.get_signature_runner(USUAL if USUAL in known else next(iter(known)))
            taken, given = runner.get_input_details(), runner.get_output_details()
            if {one["index"] for one in taken.values()} == {one["index"] for one in inputs}:
                return _by_name(taken), _by_name(given)
        return _by_name(_named(inputs)), _by_name(_named(outputs))


def cannot_run(error: Exception) -> str:
    """What to do where a file's operators are not those of the interpreter; empty for other errors."""
    said = str(error)
    if flex := re.search(r"\((Flex\w+)\)", said):
        return (
            f"{flex.group(1)} is an operator of TensorFlow: convert with built-in operators alone "
            "(supported_ops = [TFLITE_BUILTINS])"
        )
    if custom := re.search(r"unresolved custom op: (\w+)", said):
        return f"{custom.group(1)} is not one of LiteRT's operators: convert the model without it"
    if "strict" in said.lower() and "resize" in said.lower():
        return "the file takes one size alone: give samples of that size, or convert it with sizes that may vary"
    return ""


def load_error(error: Exception) -> KpiError:
    """What is said when an artifact can't be loaded."""
    if isinstance(error, Unavailable):
        return error
    return KpiError(f"LiteRT can't load the artifact: {reason(error)}", cannot_run(error))


def _named(details: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Without what the converter put around the names, as far as they differ then."""
    plain = [str(one["name"]) for one in details]
    short = [name.removesuffix(":0").removeprefix(f"{USUAL}_") for name in plain]
    for names in (short, plain):
        if len(set(names)) == len(names) and all(names):
            return dict(zip(names, details, strict=True))
    return {f"{name or 'tensor'}#{place}": one for place, (name, one) in enumerate(zip(plain, details, strict=True))}


def _by_name(details: Mapping[str, Mapping[str, Any]]) -> tuple[TfliteTensor, ...]:
    return tuple(_tensor(name, one) for name, one in details.items())


def _tensor(name: str, details: Mapping[str, Any]) -> TfliteTensor:
    import numpy as np

    kind = np.dtype(details["dtype"])
    signature = details["shape_signature"] if len(details["shape_signature"]) else details["shape"]
    shape = tuple(None if size < 0 else int(size) for size in signature)
    scales, zeros = (details["quantization_parameters"][key] for key in ("scales", "zero_points"))
    dtype = str(kind) if kind.kind in "biufc" else "string"
    if dtype in _SCALED and len(scales) == 1:
        return TfliteTensor(name, int(details["index"]), dtype, shape, float(scales[0]), int(zeros[0]))
    return TfliteTensor(name, int(details["index"]), dtype, shape)
