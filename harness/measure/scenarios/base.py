"""What a scenario is: it drives a loaded session and says what was seen."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from harness.core.registry import NoOptions
from harness.measure.machine.temperature import Warmth
from harness.measure.runtimes.base import Session, TensorSession

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from harness.workloads.base import Workload

S = TypeVar("S", bound=Session)


@dataclass(frozen=True, slots=True)
class ScenarioContext:
    """What a scenario plays with: ``inputs`` by tensor name (the first axis counts samples), time, the workload.

    Where samples have several shapes these are the ones of the most frequent, and ``others`` those of each other shape.

    What a stopped run left in one of the folders ``earlier`` is taken over where ``conditions`` are alike. ``requests``
    is the folder that the inputs come from, for requests that are no tensors.
    ``seconds`` and ``samples`` say how long one process measures at least; ``subset`` asks a divisible scenario for so
    many samples of its data set, the first ones, None for all of them; ``workload`` loads the fixture and is
    called only by scenarios that need a data set. ``outputs`` is where a scenario may leave a file. What is timed
    happens within ``watch()``, so that the machine is looked at just then; where answers are scored instead, they are
    asked for within ``scored()``. ``warmth()`` is how warm the device is and how fast the processors run, now.
    """

    inputs: Mapping[str, npt.NDArray[np.generic]]
    requests: Path
    seconds: float
    samples: int
    workload: Callable[[], Workload]
    outputs: Path
    progress: Callable[[str], None]
    watch: Callable[[], AbstractContextManager[None]]
    conditions: Mapping[str, Any] = field(default_factory=dict)
    earlier: tuple[Path, ...] = ()
    subset: int | None = None
    scored: Callable[[], AbstractContextManager[None]] = nullcontext
    others: Sequence[Mapping[str, npt.NDArray[np.generic]]] = ()
    warmth: Callable[[], Warmth] = Warmth.read

    @property
    def parts(self) -> list[Mapping[str, npt.NDArray[np.generic]]]:
        """The inputs of each shape."""
        return [self.inputs, *self.others]


class Scenario(ABC, Generic[S]):
    """One way to exercise an artifact; its result's keys are fields of ProcessRecord.

    ``session_type`` is the kind of session that it asks requests of.
    ``timed`` says whether its figures are times: then a disturbed process does not count. ``profiled`` asks for a
    session with the runtime's profiler on, which would disturb times. ``watched`` asks for a timeline of memory and
    processors, for requests that are long compared with a look at them. ``divisible`` says that it can play a part of
    its data. ``reads_workload`` says that it loads the workload itself, so that a machine that is reached is sent its
    files. ``finite`` says that the first answer must hold no NaN and no infinity. ``request`` is what a report calls
    one of its timed samples: "a batch". ``heats`` says that what its own heat does is a part of what it measures, and
    no disturbance.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    session_type: ClassVar[type[Session]]
    timed: ClassVar[bool] = True
    profiled: ClassVar[bool] = False
    watched: ClassVar[bool] = False
    divisible: ClassVar[bool] = False
    finite: ClassVar[bool] = True
    request: ClassVar[str] = ""
    reads_workload: ClassVar[bool] = False
    heats: ClassVar[bool] = False
    Options: ClassVar[type[Any]] = NoOptions

    def __init__(self, options: Any) -> None:
        self.options = options

    @abstractmethod
    def first_request(self, stage: ScenarioContext) -> Callable[[S], Mapping[str, npt.NDArray[np.generic]]]:
        """Prepares the first request; what is returned makes it with the session, and gives the answer by name."""

    @property
    def batch(self) -> int | None:
        """The only batch size that this scenario sends; None when it varies."""
        return 1

    @property
    def span_s(self) -> float:
        """Seconds that it takes at least because its own options say so; 0 where ``[measure]`` does."""
        return 0.0

    @abstractmethod
    def run(self, session: S, stage: ScenarioContext) -> dict[str, Any]:
        """Drives the session; the first request has already been made."""


class TensorScenario(Scenario[TensorSession]):
    """A scenario whose requests are batches of tensors."""

    session_type = TensorSession

    def feeds(self, stage: ScenarioContext) -> dict[str, npt.NDArray[np.generic]]:
        """A batch of request samples, as large as those that the scenario sends."""
        import numpy as np

        wanted = range(self.batch or 1)
        return {n: np.ascontiguousarray(np.take(a, wanted, axis=0, mode="wrap")) for n, a in stage.inputs.items()}

    def first_request(self, stage: ScenarioContext) -> Callable[[TensorSession], Mapping[str, npt.NDArray[np.generic]]]:
        feeds = self.feeds(stage)
        return lambda session: session.run(feeds)


class ProducesOutputs(ABC):
    """A scenario that leaves a file of outputs for the metrics that score them."""

    @classmethod
    @abstractmethod
    def read(cls, file: Path) -> Any:
        """What the scenario left in ``stage.outputs``."""

    @classmethod
    def publish(cls, file: Path, results: Path) -> None:
        """Writes ``results`` for people and other programs, where the scenario has something to show them."""
        del file, results
