"""How what is scored is read from the outputs of a model, where that is more than one array as it is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy.typing as npt

    from harness.workloads.base import TensorSpec

    Array = npt.NDArray[Any]


class Reading(ABC):
    """What the options of a task may be: a workload's answers are then what it makes of the outputs.

    ``task = { name = "...", ... }`` in ``kpis.toml`` sets its fields.
    """

    __slots__ = ()

    @abstractmethod
    def outputs(self, known: Sequence[str]) -> tuple[str, ...]:
        """The outputs that are read, of those that the model has. KpiError where one that is needed is missing."""

    @abstractmethod
    def read(self, outputs: Mapping[str, Array], inputs: Sequence[TensorSpec]) -> Array:
        """What is scored of a batch of outputs, (samples, ...), of one shape whatever the batch; NaN fills up.

        ``inputs`` are those of the model, each with the shape of one sample. Raises KpiError where the outputs are not
        what they must be, with what was found.
        """
