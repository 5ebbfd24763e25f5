"""Scores a candidate on validation samples by the metric of its task: what ``max_drop`` permits a loss of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness.build.passes.data import Arrays, batches
from harness.core.errors import KpiError
from harness.core.state import play
from harness.core.units import NUMBER, POINTS, SHARE
from harness.spec.catalog import metrics
from harness.spec.tasks import tasks
from harness.workloads.batches import joined
from harness.workloads.classes import decisions

if TYPE_CHECKING:
    import numpy.typing as npt

    from harness.workloads.base import TensorWorkload

Sample = tuple[Arrays, "npt.NDArray[Any]"]
Infer = Callable[[Arrays], Mapping[str, Any]]
"""Gives ``asked_outputs`` of a batch by name, the first axis counting samples; with state those of a frame."""


@dataclass(frozen=True, slots=True)
class _Answers:
    """What a metric reads: the outputs of all samples, with their labels."""

    logits: npt.NDArray[Any]
    labels: npt.NDArray[Any]
    task: Mapping[str, Any]
    slices: None = None


@dataclass
class Tuning:
    """Validation samples, and the metric that candidates are scored by; of any metric more is better here.

    Where the workload keeps state a sample is a sequence, which is played from its beginning. Raises KpiError where the
    metric's unit is not that of ``max_drop``.
    """

    workload: TensorWorkload
    count: int
    batch: int | None = None
    samples: list[Sample] = field(init=False)
    _reference: _Answers | None = field(default=None, init=False)
    _whole: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        self.samples = list(batches(self.workload, "validation", self.count, size=self.batch or 16))
        if self.batch:
            self.samples = [sample for sample in self.samples if len(sample[1]) == self.batch]
        name = tasks()[self.workload.settings.task].metric if self.workload.settings.task in tasks() else ""
        self._metric: Any = metrics()[name] if name else None

    def permitted(self, text: str) -> float:
        """The permitted loss in the metric's own unit."""
        dimension = SHARE if self._metric is None else self._metric.dimension
        try:
            return (POINTS if dimension is SHARE else dimension).parse(text)
        except ValueError as error:
            of = self._metric.name if self._metric else "accuracy"
            raise KpiError(f"max_drop is a loss of {of} here: {error}") from None

    def begin(self, infer: Infer) -> float:
        """The score of the model that candidates are held against."""
        self._reference = self._answers(infer, self.samples)
        self._whole = self._score(self._reference, self._reference)
        return self._whole

    def score(self, infer: Infer, samples: Iterable[Sample] | None = None) -> float:
        """That of a candidate, on all samples or some of them; of some that have no figure by themselves, as it was."""
        chosen = self.samples if samples is None else list(samples)
        found, reference = self._answers(infer, chosen), self._reference
        if len(chosen) == len(self.samples) or reference is None:
            return self._score(found, reference)
        try:
            return self._score(found, self._part(reference, chosen))
        except KpiError:
            # Such as a picture without any object.
            return self._whole

    def _part(self, whole: _Answers, chosen: Sequence[Sample]) -> _Answers:
        """What the model that candidates are held against said of some samples."""
        import numpy as np

        starts = np.cumsum([0, *(len(right) for _, right in self.samples)])
        place = {id(sample): number for number, sample in enumerate(self.samples)}
        numbers = [place[id(sample)] for sample in chosen]
        rows = np.concatenate([np.arange(starts[number], starts[number + 1]) for number in numbers])
        return _Answers(whole.logits[rows], whole.labels[rows], whole.task)

    def _asked(self, infer: Infer, feeds: Arrays) -> Mapping[str, Any]:
        if self.workload.state:
            return play(infer, feeds, self.workload.state)
        return self.workload.even(infer(feeds))

    def _score(self, found: _Answers, reference: _Answers | None) -> float:
        if self._metric is None:
            return float((decisions(found.logits) == found.labels).mean())
        value = float(self._metric.figure(found, reference if self._metric.needs_reference else None))
        return value if self._metric.better == "higher" else -value

    def _answers(self, infer: Infer, samples: Iterable[Sample]) -> _Answers:
        import numpy as np

        logits, labels = [], []
        for feeds, right in samples:
            said = {name: np.array(array) for name, array in self._asked(infer, feeds).items()}
            if not all(np.isfinite(array).all() for array in said.values()):
                raise KpiError(f"the model answers NaN or infinity on one of {self.count} validation samples")
            logits.append(self.workload.read(said, feeds))
            labels.append(right)
        return _Answers(joined(logits), np.concatenate(labels), self.workload.settings.task_options)


def asked_outputs(workload: TensorWorkload) -> list[str]:
    """The outputs that scores are made of, and those that carry state."""
    return list(dict.fromkeys((*workload.read_outputs, *(one.output for one in workload.state))))


def check_drop(text: str) -> None:
    """Raises ValueError where a permitted loss is neither points such as "1 pp" nor a plain number."""
    try:
        drop, most = POINTS.parse(text), 1.0
    except ValueError:
        try:
            drop, most = NUMBER.parse(text), float("inf")
        except ValueError:
            POINTS.parse(text)  # says what is allowed
            raise
    if not 0 <= drop < most:
        raise ValueError(f"max_drop = {text!r}: must be from 0 pp to below 100 pp")
