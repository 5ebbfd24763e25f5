"""A clip from its bytes to a drawn clip, frame by frame: as fast as it goes, or as a camera gives the frames."""

from __future__ import annotations

import gc
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.registry import check_counts, options_table
from harness.measure.scenarios.base import ScenarioContext, TensorScenario
from harness.measure.steady import warm_up
from harness.tasks.segmentation.pipeline import Pipeline, follow, stage_percentiles, stage_series, video

if TYPE_CHECKING:
    from harness.measure.runtimes.base import TensorSession

_MOST = 20_000


def check_rate(fps: float | None) -> None:
    """Refuses rates at which no camera works; ValueError names the option."""
    if fps is not None and not 0 < fps <= 1000:  # noqa: PLR2004 - also refuses what is not a number
        raise ValueError("fps must be above 0 and at most 1000")


class Stream(TensorScenario):
    """Each frame decoded, prepared, segmented, decided, drawn and encoded before the next is begun.

    A sample is the time of a frame from its first stage to its last; the times of the stages are the process's series.
    The clip is repeated. What was drawn of its first pass is kept next to the evidence. With ``fps``
    frames come as a camera gives them: one is due every 1 / fps seconds, its time counts from then, and it is dropped
    when a newer one overtakes it before it is taken.
    """

    name = "stream"
    request = "a frame"
    title = "a clip, frame by frame"
    reads_workload = True

    @options_table
    class Options:
        """``fps``: frames a second that the camera gives; without it each frame waits for the one before."""

        fps: float | None = None

        def __post_init__(self) -> None:
            check_rate(self.fps)

    def run(self, session: TensorSession, stage: ScenarioContext) -> dict[str, Any]:
        fixture, clip = video(stage)
        with Pipeline(session, fixture, clip) as rehearsal:
            warmth = warm_up(rehearsal.step)
        kept = stage.outputs.with_suffix(".mp4")
        with ExitStack() as stack:
            pipeline = stack.enter_context(Pipeline(session, fixture, clip, kept))
            # A collection in the middle of a frame would be Python's time, not the artifact's.
            gc.collect()
            gc.disable()
            stack.callback(gc.enable)
            with stage.watch():
                seen = self._camera(pipeline, stage) if self.options.fps else _back_to_back(pipeline, stage)
            codec = pipeline.codec
        stages = seen.pop("stages")
        return {
            **seen,
            "batch": 1,
            "warmup": warmth,
            "series": stage_series(stages),
            "outputs": _name(kept),
            "details": {**seen["details"], "stages": stage_percentiles(stages), "codecs": codec},
        }

    def _camera(self, pipeline: Pipeline, stage: ScenarioContext) -> dict[str, Any]:
        fps, begin = float(self.options.fps), time.perf_counter()
        total = min(_MOST, max(self._least(stage), round(stage.seconds * fps)))
        shown = follow(pipeline, begin, fps, total)
        return {
            "samples_s": shown.latencies,
            "stages": shown.stages,
            "completed": len(shown.latencies),
            "elapsed_s": shown.ended - begin,
            "details": {"fps": fps, "due": total, "dropped": shown.dropped},
        }

    def _least(self, stage: ScenarioContext) -> int:
        return stage.samples


class Camera(Stream):
    """The same with a camera's rate, so that frames may be dropped."""

    name = "camera"
    request = "a frame at the camera's rate"
    title = "a camera's frames, at their rate"

    @options_table
    class Options:
        """``fps``: frames a second that the camera gives; ``frames``: at least so many."""

        fps: float = 30.0
        frames: int = 90

        def __post_init__(self) -> None:
            check_rate(self.fps)
            check_counts(frames=self.frames)

    def _least(self, stage: ScenarioContext) -> int:
        return max(stage.samples, int(self.options.frames))


def _back_to_back(pipeline: Pipeline, stage: ScenarioContext) -> dict[str, Any]:
    stages: list[tuple[float, ...]] = []
    samples: list[float] = []
    clock = time.perf_counter
    begin = end = clock()
    while (end - begin < stage.seconds or len(samples) < stage.samples) and len(samples) < _MOST:
        stages.append(pipeline.step())
        end = clock()
        samples.append(sum(stages[-1]))
    return {
        "samples_s": samples,
        "stages": stages,
        "completed": len(samples),
        "elapsed_s": end - begin,
        "details": {"fps": None},
    }


def _name(kept: Path) -> str:
    return kept.name if kept.exists() else ""
