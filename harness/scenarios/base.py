"""What a scenario is: it drives a loaded session and says what was seen."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from harness.registry import NoOptions

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from harness.runtimes.base import Session
    from harness.workload import Workload


@dataclass(frozen=True, slots=True)
class Stage:
    """What a scenario plays with: ``inputs`` by tensor name (the first axis counts samples), time, the workload.

    ``seconds`` and ``samples`` say how long one process measures at least; ``workload`` loads the fixture and is
    called only by scenarios that need a data set. ``outputs`` is where a scenario may leave a file. What is timed
    happens within ``watch()``, so that the machine is looked at just then.
    """

    inputs: Mapping[str, npt.NDArray[np.generic]]
    seconds: float
    samples: int
    workload: Callable[[], Workload]
    outputs: Path
    progress: Callable[[str], None]
    watch: Callable[[], AbstractContextManager[None]]


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

    @property
    def batch(self) -> int | None:
        """The only batch size that this scenario sends; None when it varies."""
        return 1

    @abstractmethod
    def play(self, session: Session, stage: Stage) -> dict[str, Any]:
        """Drives the session; the first request has already been made."""
