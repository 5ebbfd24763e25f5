"""The protocol of a runtime: load an artifact, run batches, prove what ran."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from harness.core.libraries import version_of
from harness.core.registry import NoOptions

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from harness.measure.records import Proof

    Arrays = Mapping[str, npt.NDArray[np.generic]]


@dataclass(frozen=True, slots=True)
class Proposal:
    """A recipe for a model that is a file: its table, and what may be expected of it.

    ``size`` is the share of the file's size that it must keep below, None where it does not get smaller; ``exact``
    whether it computes nearly the same.
    """

    name: str
    about: str
    table: Mapping[str, Any]
    size: float | None = None
    exact: bool = False


class Session(ABC):
    """An artifact loaded on a device."""

    @abstractmethod
    def proof(self) -> Proof:
        """What really ran: device, precision, threads; read back, never what was asked for.

        Called once, after the last request. A profiled session also says what each operation is and takes.
        """

    def close(self) -> None:  # noqa: B027 - most have nothing to let go of before the process ends
        """Lets go of what the session holds."""


class TensorSession(Session):
    """A model of tensors. Inputs and outputs are host arrays by tensor name, the first axis the batch."""

    @abstractmethod
    def run(self, feeds: Arrays) -> dict[str, npt.NDArray[np.generic]]:
        """Runs one batch, from host input to host output; returns when the outputs can be read on the host."""

    def clone_for_thread(self) -> TensorSession:
        """A way in for another thread, to the same loaded artifact; itself where ``run`` may be called by several."""
        return self

    def run_all(self, batches: Iterable[Arrays]) -> None:
        """Runs many batches with as many requests in flight as the runtime gains from; one at a time by default."""
        for feeds in batches:
            self.run(feeds)

    @property
    def requests(self) -> int:
        """How many requests ``run_all`` keeps in flight."""
        return 1


class Runtime(ABC):
    """Loads artifacts of the formats in ``formats`` on the devices in ``devices``.

    ``profiles`` says whether it can play the scenario that looks inside; ``environment`` is where its library is, None
    where the harness is: ``kpi init`` names it where the library is not here.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    formats: ClassVar[frozenset[str]]
    devices: ClassVar[frozenset[str]]
    distributions: ClassVar[tuple[str, ...]]
    profiles: ClassVar[bool] = True
    environment: ClassVar[str | None] = None
    Options: ClassVar[type[Any]] = NoOptions

    def __init__(self, options: Any, *, timed: bool = True) -> None:
        """``timed`` says whether what it runs is timed; where not, threads that wait should not spin.

        Artifacts may be built at the same time.
        """
        self.options = options
        self.timed = timed

    @classmethod
    def as_delivered(cls, made: str) -> str | Mapping[str, Any] | None:
        """The ``runtime`` of a recipe for a file of the format ``made`` as it is; None: ``kpi init`` names another."""
        del made
        return None

    @classmethod
    def available_here(cls) -> bool:
        """Whether one of its distributions is installed in this environment."""
        return any(version_of(name) for name in cls.distributions)

    @classmethod
    def proposals(cls, made: str) -> Iterator[Proposal]:
        """Recipes by this runtime that make less of a file of the format ``made``; ``kpi init`` writes them.

        Asked only where the runtime's library is installed.
        """
        del made
        return iter(())

    @classmethod
    @abstractmethod
    def available_devices(cls) -> str:
        """Which devices the library sees here, for a person. Raises whatever a broken installation raises."""

    def device(self, wanted: str) -> str:
        """The device this runtime would run on for a KPI on ``wanted``: cpu, gpu or npu."""
        return "cpu" if wanted == "edge" else wanted

    @abstractmethod
    def import_library(self) -> None:
        """Imports the library, so that its memory and time are not the artifact's."""

    @abstractmethod
    def load(self, artifact: Path, device: str, batch: int | None, *, profile: bool) -> Session:
        """Loads the artifact; ``batch`` is the only batch size that will come, None when it may vary.

        ``profile`` turns the runtime's profiler on, where it has one.

        Raises Unavailable when the device is not here, KpiError when the artifact runs elsewhere than asked.
        """
