"""What ranges are taken from: training samples, or the frames of training sequences where a model keeps state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

from harness.build.passes.data import Arrays, Calibration
from harness.build.passes.faithful import source_run
from harness.core.errors import KpiError
from harness.core.state import play

if TYPE_CHECKING:
    from harness.build.passes.base import PassContext


def calibration(job: PassContext, count: int) -> Calibration:
    """``count`` samples to calibrate on. Raises KpiError as :class:`Calibration` does."""
    return Frames(job, count) if job.tensors.state else Calibration(job.tensors, count)


class Frames(Calibration):
    """``count`` frames of training sequences, each with the state that what the pass reads had before it."""

    def __init__(self, job: PassContext, count: int) -> None:
        super().__init__(job.tensors, count)
        run, frames = source_run(job), list[dict[str, Any]]()
        if run is None:
            raise KpiError("what the pass reads is not a file that can be run here")
        for place in range(self._count):
            if len(frames) < count:
                play(run, super().__getitem__(place), job.tensors.state, seen=frames.append)
        self._frames = frames[:count]
        self._count = len(self._frames)

    @overload
    def __getitem__(self, place: int) -> Arrays: ...

    @overload
    def __getitem__(self, place: slice) -> list[Arrays]: ...

    def __getitem__(self, place: int | slice) -> Arrays | list[Arrays]:
        return self._frames[place]
