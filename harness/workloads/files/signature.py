"""What a model file says of itself: its inputs and outputs by name, with types and shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from harness.core.errors import KpiError, Unavailable
from harness.core.formats import EXPORTED_PROGRAM
from harness.core.naming import Naming, PortName
from harness.core.state import StateInput
from harness.spec.catalog import model_files as readers
from harness.workloads.checkpoint import refuse_pointer

Shape = tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class Port:
    """An input or an output; ``shape`` has None where a size may vary, and is None where nothing is said of it.

    ``axes`` are the names of the sizes that vary, as the file writes them. ``held_as`` is the type in the file where
    it is not ``dtype``, such as integers that stand for floating point: arrays of that type are taken as they are.
    """

    name: str
    dtype: str
    shape: Shape | None
    axes: tuple[str, ...] = ()
    held_as: str = ""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Port:
        """The inverse of ``dataclasses.asdict`` after a trip through JSON."""
        shape = None if data["shape"] is None else tuple(data["shape"])
        return cls(**{**data, "shape": shape, "axes": tuple(data["axes"])})

    def takes(self, dtype: str) -> bool:
        """Whether arrays of this type may be given."""
        return dtype in (self.dtype, self.held_as)

    def fits(self, shape: Sequence[int], first: int = 0) -> bool:
        """Whether an array of this shape may be it, as far as the file says; axes before ``first`` may be any."""
        if self.shape is None:
            return True
        sizes = list(zip(self.shape, shape, strict=False))
        return len(shape) == len(self.shape) and all(size in (None, own) for size, own in sizes[first:])

    def __str__(self) -> str:
        sizes = "unknown" if self.shape is None else "x".join("?" if size is None else str(size) for size in self.shape)
        return f"{self.name} ({self.dtype} {sizes or 'scalar'})"


@dataclass(frozen=True, slots=True)
class Signature:
    """The inputs and outputs of a file in its own order, and in a few words what it is.

    ``fixed`` says what in it no pass makes less of; empty where one may.
    """

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    about: str
    fixed: str = ""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Signature:
        """The inverse of ``dataclasses.asdict`` after a trip through JSON."""
        inputs, outputs = (tuple(map(Port.from_json, data[key])) for key in ("inputs", "outputs"))
        return cls(**{**data, "inputs": inputs, "outputs": outputs})

    @property
    def batch(self) -> int | None:
        """The only batch size that the file takes; None where the first axis may vary."""
        sizes = {port.shape[0] for port in self.inputs if port.shape}
        return sizes.pop() if len(sizes) == 1 else None

    @property
    def floats(self) -> tuple[Port, ...]:
        """The outputs that are floating point."""
        return tuple(port for port in self.outputs if port.dtype.startswith("float"))

    def without(self, state: Sequence[StateInput]) -> Signature:
        """The same without the inputs that carry state."""
        names = {one.name for one in state}
        return replace(self, inputs=tuple(port for port in self.inputs if port.name not in names))

    def called(self, naming: Naming) -> Signature:
        """The same under the workload's names; sizes stay in the file's order."""

        def named(ports: tuple[Port, ...], names: Mapping[str, PortName]) -> tuple[Port, ...]:
            return tuple(replace(port, name=names[port.name].name) if port.name in names else port for port in ports)

        return replace(self, inputs=named(self.inputs, naming.inputs), outputs=named(self.outputs, naming.outputs))

    @property
    def batch_names(self) -> list[str]:
        """What the file calls the first axis of its inputs."""
        return sorted({port.axes[0] for port in self.inputs if port.axes and port.axes[0]})


def read_signature(file: Path) -> Signature:
    """Reads the file's header; no session is made. Raises KpiError, with the reason, where it is not such a model."""
    if file.suffix.lower() not in readers():
        network = file.is_dir() or file.suffix.lower() == EXPORTED_PROGRAM
        raise KpiError(
            f"{file.name} is a torch network, not a file that a runtime takes"
            if network
            else f"{file.name} is of no format that is known",
            'write its kpis.toml by hand, with the pass "onnx": docs/files.md, "Networks"'
            if network
            else f"known are {', '.join(readers())}",
        )
    if file.is_dir():
        raise KpiError(f"model {file} is a folder", "name the file in it")
    if not file.is_file():
        raise Unavailable(f"model {file} is not here", "check its path")
    refuse_pointer(file)
    stat = file.stat()
    return _read(file, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=8)
def _read(file: Path, *_: int) -> Signature:
    """A build asks the same file several times; the numbers tell when it is another one."""
    try:
        return readers()[file.suffix.lower()].signature(file)
    except ImportError as error:
        raise Unavailable(f"{file.name} needs {error.name} to be read", f"pip install {error.name}") from error


def signature_of(folder: Path) -> Signature | None:
    """That of the model file in an artifact; None where it holds none that is known here."""
    found = [folder / f"model{suffix}" for suffix in readers() if (folder / f"model{suffix}").exists()]
    return read_signature(found[0]) if found else None


def model_files(file: Path) -> list[Path]:
    """The file with those that belong to it: weights next to the graph. Raises KpiError where one lies elsewhere."""
    return readers()[file.suffix.lower()].belonging(file)


def table_rows(file: Path) -> Mapping[str, int]:
    """For inputs that choose rows of a table of weights, such as token ids, how many rows there are."""
    return readers()[file.suffix.lower()].table_rows(file)
