"""A model file that calls its inputs and outputs otherwise than the workload does, or orders their axes otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness.core.errors import KpiError, suggest

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Arrays = Mapping[str, npt.NDArray[np.generic]]


@dataclass(frozen=True, slots=True)
class PortName:
    """What the workload calls an input or output; ``axes`` are those of what is handed on, as NumPy transposes them."""

    name: str
    axes: tuple[int, ...] = ()

    @classmethod
    def of(cls, given: str | Mapping[str, Any]) -> PortName:
        """As the TOML says it: a name, or a table with ``name`` and ``axes``."""
        return cls(given) if isinstance(given, str) else cls(given["name"], tuple(given.get("axes", ())))

    def turned(self, array: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        """The array with its axes in the other order, in memory too. Raises KpiError where it has others."""
        import numpy as np

        if not self.axes:
            return array
        if len(self.axes) != array.ndim:
            raise KpiError(
                f"{self.name}: axes = {list(self.axes)} names {len(self.axes)} axes, the array has {array.ndim}: "
                f"{array.shape}",
                "name each axis once, the batch first",
            )
        return np.ascontiguousarray(array.transpose(self.axes))


@dataclass(frozen=True, slots=True)
class Naming:
    """By what a file calls each input and output, what the workload calls it; those that are missing are the same."""

    inputs: Mapping[str, PortName] = field(default_factory=dict)
    outputs: Mapping[str, PortName] = field(default_factory=dict)

    @classmethod
    def of(cls, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> Naming:
        """As the TOML and a manifest say it."""
        return cls(*({name: PortName.of(one) for name, one in given.items()} for given in (inputs, outputs)))

    def __bool__(self) -> bool:
        return bool(self.inputs or self.outputs)

    def asked(self, feeds: Arrays) -> dict[str, npt.NDArray[np.generic]]:
        """What the file is given for the workload's inputs."""
        own = {one.name: (name, one) for name, one in self.inputs.items()}
        found = {}
        for name, array in feeds.items():
            key, port = own.get(name, (name, PortName(name)))
            found[key] = port.turned(array)
        return found

    def answered(self, outputs: Arrays) -> dict[str, npt.NDArray[np.generic]]:
        """The workload's outputs in what the file answered."""
        found = {}
        for name, array in outputs.items():
            port = self.outputs.get(name, PortName(name))
            found[port.name] = port.turned(array)
        return found

    def check(self, file: str, inputs: Mapping[str, object], outputs: Mapping[str, object]) -> None:
        """Raises KpiError where the file has no input or output of such a name, or two would be called the same."""
        for key, given, known in (("inputs", self.inputs, inputs), ("outputs", self.outputs, outputs)):
            for name in given:
                if name not in known:
                    raise KpiError(f"{key}: {suggest(name, known, 'name')}", f"on the left are the names of {file}")
            called = [given[name].name if name in given else name for name in known]
            if twice := sorted({name for name in called if called.count(name) > 1}):
                raise KpiError(f"{key}: two of {file} would be called {twice[0]}", "give each a name of its own")
