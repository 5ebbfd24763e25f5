"""What the samples of a workload of files are, whatever they are kept in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

from harness.core.errors import KpiError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from harness.workloads.base import TensorSpec

    Rows = npt.NDArray[np.int64] | slice
else:
    Rows = Any


class Samples(ABC):
    """The samples of one file or folder, in a fixed order."""

    one_by_one = False
    """Whether they are as long as they are, so that two are rarely of one shape."""

    @property
    @abstractmethod
    def count(self) -> int:
        """How many there are, one at least."""

    @property
    @abstractmethod
    def specs(self) -> tuple[TensorSpec, ...]:
        """The inputs as the samples are: sizes that the model leaves open are those of the samples."""

    @abstractmethod
    def take(self, rows: Rows) -> dict[str, npt.NDArray[Any]]:
        """Some samples by the names of the inputs; of one shape all, where there are several."""

    @abstractmethod
    def digest(self, cache: Path) -> str:
        """Text that changes when what is read does; ``cache`` remembers digests of large files."""

    @abstractmethod
    def units(self) -> list[str]:
        """For each sample a text that is the same for samples that are the same."""

    @property
    @abstractmethod
    def labels(self) -> npt.NDArray[Any] | None:
        """What is right for each sample; None where that is not known."""

    @property
    def clusters(self) -> Sequence[Hashable] | None:
        """Where each sample comes from; None where that is not known."""
        return None

    @property
    def slices(self) -> Sequence[str] | None:
        """The part that each sample belongs to; None where none is named."""
        return None

    @property
    def shapes(self) -> Sequence[Hashable] | None:
        """A name of each sample's shape; None where all have the same."""
        return None

    @property
    def remarks(self) -> Sequence[str]:
        """What a person should know of how they become inputs, a line each."""
        return ()

    @abstractmethod
    def needs_labels(self) -> KpiError:
        """The error of a task that is judged by labels where there are none."""
