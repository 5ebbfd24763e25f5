"""What a ``.pte`` file says of itself, read without ExecuTorch: its tensors, and which operators run where."""

from __future__ import annotations

import mmap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from harness.core.errors import KpiError, reason
from harness.core.flat_tables import DAMAGED, FlatTable

INPUT_NAMES, OUTPUT_NAMES = "input_names", "output_names"
"""Methods that answer nothing but the names of what ``forward`` takes and gives: the format itself has none."""
_USUAL = "forward"
_MAGIC, _PLACE = b"ET12", slice(4, 8)
_EXTENDED, _HEADER = b"eh00", slice(8, 12)
_TENSOR, _STRING = 5, 6
_KERNEL, _DELEGATE = 1, 2
_DTYPES = MappingProxyType(
    {
        0: "uint8",
        1: "int8",
        2: "int16",
        3: "int32",
        4: "int64",
        5: "float16",
        6: "float32",
        7: "float64",
        11: "bool",
        15: "bfloat16",
    }
)
"""By the number of PyTorch's scalar type."""


@dataclass(frozen=True, slots=True)
class PteTensor:
    """An input, an output, or a value between; ``shape`` has None where sizes may vary.

    ``dtype`` is "scalar" for what is not a tensor, such as a number.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class Kernel:
    """An operator that runs outside of all delegates; ``values`` are its tensors by place, None for what is not one."""

    name: str
    values: Sequence[PteTensor | None]


@dataclass(frozen=True, slots=True)
class Delegate:
    """A part that a backend runs; what was prepared for it is ``size`` bytes of the file, from ``start`` on."""

    backend: str
    start: int
    size: int


@dataclass(frozen=True, slots=True)
class PteFile:
    """A method of a file: what it takes and gives by name, and what it runs, in its order."""

    method: str
    inputs: tuple[PteTensor, ...]
    outputs: tuple[PteTensor, ...]
    kernels: tuple[Kernel, ...]
    delegates: tuple[Delegate, ...]


def read_pte(file: Path) -> PteFile:
    """Raises KpiError, with the reason, where it is not such a file or a part is missing."""
    with file.open("rb") as opened:
        begin = opened.read(_HEADER.stop)
    if begin[_PLACE] != _MAGIC:
        raise KpiError(
            f"{file.name} is not an ExecuTorch program: it does not begin with {_MAGIC.decode()}",
            "fetch or export it again",
        )
    try:
        with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return _read(file, content)
    except DAMAGED as error:
        raise KpiError(
            f"{file.name} is not an ExecuTorch program, or a truncated one: {reason(error)}",
            "fetch or export it again",
        ) from error


def _read(file: Path, content: mmap.mmap) -> PteFile:
    program, begin = FlatTable.root(content), 0
    if content[_HEADER] == _EXTENDED:
        begin = int.from_bytes(content[24:32], "little")
    segments = [(begin + one.number(0, "Uint64"), one.number(1, "Uint64")) for one in program.tables(4)]
    if (wanted := max((start + size for start, size in segments), default=0)) > len(content):
        raise ValueError(f"{len(content)} of {wanted} bytes are here")
    methods = {plan.text(0): plan for plan in program.tables(1)}
    named = {name: _texts(methods.pop(name)) for name in (INPUT_NAMES, OUTPUT_NAMES) if name in methods}
    computing = [name for name, plan in methods.items() if plan.numbers(3)]
    chosen = _USUAL if _USUAL in methods else computing[0] if len(computing) == 1 else ""
    if not chosen:
        raise KpiError(
            f"{file.name} has the methods {', '.join(methods) or 'none'}, and none is called {_USUAL}",
            f"export one model to a file, as {_USUAL}",
        )
    plan = methods[chosen]
    inline = [one.span(0) for one in program.tables(3)]
    return PteFile(
        chosen,
        _ports(plan, plan.numbers(3), named.get(INPUT_NAMES, ()), "input"),
        _ports(plan, plan.numbers(4), named.get(OUTPUT_NAMES, ()), "output"),
        *_calls(plan, {0: inline, 1: segments}),
    )


def _calls(
    plan: FlatTable, places: Mapping[int, Sequence[tuple[int, int]]]
) -> tuple[tuple[Kernel, ...], tuple[Delegate, ...]]:
    """What a method runs; ``places`` are where backends' contents are, by how that is said."""
    kernels, delegates = list[Kernel](), list[Delegate]()
    values, operators, backends = plan.tables(2), plan.tables(6), plan.tables(7)
    for instruction in (one for chain in plan.tables(5) for one in chain.tables(2)):
        kind, call = instruction.union(0)
        if call is not None and kind == _KERNEL:
            operator = operators[call.number(0)]
            name = ".".join(filter(None, (operator.text(0), operator.text(1))))
            kernels.append(Kernel(name, [_value("", values[place]) for place in call.numbers(1)]))
        elif call is not None and kind == _DELEGATE:
            backend = backends[call.number(0)]
            where = backend.table(1)
            start, size = places[where.number(0, "Int8")][where.number(1, "Uint32")] if where else (0, 0)
            delegates.append(Delegate(backend.text(0), start, size))
    return tuple(kernels), tuple(delegates)


def _ports(plan: FlatTable, places: Sequence[int], names: Sequence[str], stem: str) -> tuple[PteTensor, ...]:
    values = plan.tables(2)
    if len(set(names)) != len(places):
        names = [f"{stem}_{place}" for place in range(len(places))]
    found = [(name, _value(name, values[place])) for name, place in zip(names, places, strict=True)]
    return tuple(one or PteTensor(name, "scalar", ()) for name, one in found)


def _texts(plan: FlatTable) -> list[str]:
    """What a method that computes nothing answers."""
    values = plan.tables(2)
    found = [values[place].union(0) for place in plan.numbers(4)]
    return [value.text(0) for kind, value in found if kind == _STRING and value is not None]


def _value(name: str, value: FlatTable) -> PteTensor | None:
    kind, tensor = value.union(0)
    if kind != _TENSOR or tensor is None:
        return None
    varies = tensor.number(8, "Int8") > 0
    sizes = tuple(None if varies else size for size in tensor.numbers(2))
    number = tensor.number(0, "Int8")
    return PteTensor(name, _DTYPES.get(number, f"type {number}"), sizes)
