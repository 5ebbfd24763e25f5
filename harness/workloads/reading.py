"""How what is scored is read from the outputs of a model, where that is more than one array as it is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    import numpy.typing as npt

    from harness.workloads.base import TensorSpec

    Array = npt.NDArray[Any]


class Reading(ABC):
    """What the options of a task may be: a workload's answers are then what it makes of the outputs.

    ``task = { name = "...", ... }`` in ``kpis.toml`` sets its fields. ``drawn`` says what the labels of pictures are
    made of, where a file has more than one kind: "boxes", "objects" (boxes with masks) or "pixels" (classes).
    """

    __slots__ = ()
    drawn: ClassVar[str] = "boxes"

    @property
    def one_by_one(self) -> bool:
        """Whether outputs have no batch axis but a row for each thing found, so that samples are asked for alone."""
        return False

    def even(self, outputs: Mapping[str, Array]) -> Mapping[str, Array]:
        """The outputs with the batch as their first axis, of one shape whatever was found: as they are, mostly."""
        return outputs

    @abstractmethod
    def outputs(self, known: Sequence[str]) -> tuple[str, ...]:
        """The outputs that are read, of those that the model has. KpiError where one that is needed is missing."""

    def kinds(self, outputs: Mapping[str, Array]) -> int | None:
        """How many classes the outputs tell apart; None where their shapes do not say."""
        del outputs
        return None

    @abstractmethod
    def read(self, outputs: Mapping[str, Array], inputs: Sequence[TensorSpec]) -> Array:
        """What is scored of a batch of outputs, (samples, ...), of one shape whatever the batch; NaN fills up.

        ``inputs`` are those of the model, each with the shape of one sample. Raises KpiError where the outputs are not
        what they must be, with what was found.
        """
