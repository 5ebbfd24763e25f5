"""What a scenario is: it drives a loaded session and says what was seen."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from harness.registry import NoOptions

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from harness.runtimes.base import Session
    from harness.workload import Fixture


@dataclass(frozen=True, slots=True)
class Stage:
    """What a scenario plays with: ``inputs`` by tensor name (the first axis counts samples), time, the workload.

    What a stopped run left in one of the folders ``earlier`` is taken over where ``conditions`` are alike. ``requests``
    is the folder that the inputs come from, for requests that are no tensors.
    ``seconds`` and ``samples`` say how long one process measures at least; ``workload`` loads the fixture and is
    called only by scenarios that need a data set. ``outputs`` is where a scenario may leave a file. What is timed
    happens within ``watch()``, so that the machine is looked at just then.
    """

    inputs: Mapping[str, npt.NDArray[np.generic]]
    requests: Path
    seconds: float
    samples: int
    workload: Callable[[], Fixture]
    outputs: Path
    progress: Callable[[str], None]
    watch: Callable[[], AbstractContextManager[None]]
    conditions: Mapping[str, Any] = field(default_factory=dict)
    earlier: tuple[Path, ...] = ()


class Scenario(ABC):
    """One way to exercise an artifact; its result's keys are fields of ProcessRecord.

    ``timed`` says whether its figures are times: then a disturbed process does not count. ``profiled`` asks for a
    session with the runtime's profiler on, which would disturb times.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    timed: ClassVar[bool] = True
    profiled: ClassVar[bool] = False
    Options: ClassVar[type[Any]] = NoOptions

    def __init__(self, options: Any) -> None:
        self.options = options

    def first(self, stage: Stage) -> Callable[[Any], Mapping[str, npt.NDArray[np.generic]]]:
        """Prepares the first request; what is returned makes it with the session, and gives the answer by name."""
        import numpy as np

        wanted = range(self.batch or 1)
        feeds = {n: np.ascontiguousarray(np.take(a, wanted, axis=0, mode="wrap")) for n, a in stage.inputs.items()}
        return lambda session: session.run(feeds)

    @classmethod
    def read(cls, file: Path) -> Any:
        """What the scenario left in ``stage.outputs``, for the metrics that score it."""
        raise NotImplementedError(f"{cls.name} leaves no outputs: {file}")

    @property
    def batch(self) -> int | None:
        """The only batch size that this scenario sends; None when it varies."""
        return 1

    @classmethod
    def publish(cls, file: Path, results: Path) -> None:
        """Writes ``results`` for people and other programs, where the scenario has something to show them."""
        del file, results

    @abstractmethod
    def play(self, session: Session, stage: Stage) -> dict[str, Any]:
        """Drives the session; the first request has already been made."""
