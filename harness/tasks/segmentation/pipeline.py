"""A stream of video from the clip's bytes to the drawn clip's, each stage of each frame timed."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from harness.core.errors import KpiError
from harness.core.statistics import percentile
from harness.measure.media.decoding import look_at, read_frames
from harness.measure.media.encoding import Encoder
from harness.measure.media.overlay import draw
from harness.measure.runtimes.base import TensorSession
from harness.measure.scenarios.base import ScenarioContext
from harness.tasks.segmentation.workload import VideoSegmentation, clip_in

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

STAGES = ("decode", "prepare", "segment", "decide", "draw", "encode")
"""Bytes to RGB; RGB to a tensor; the network; its answer to classes; the mask onto the frame; the frame to bytes."""


class Pipeline:
    """One stream. The clip is repeated; ``kept`` is where its first pass is written, drawn, if at all."""

    def __init__(
        self, session: TensorSession, fixture: VideoSegmentation, clip: Path, kept: Path | None = None
    ) -> None:
        self._session = session
        self._fixture = fixture
        self._info = look_at(clip)
        self._clip = clip
        self._frames = read_frames(clip)
        self._encoder = self._open(kept)
        # Made now, so that the first pass ends without a pause.
        self._later = None if kept is None else self._open(None)

    def take(self) -> tuple[npt.NDArray[np.uint8], float]:
        """The next frame, and the seconds of decoding it; restarting the clip is not counted."""
        clock = time.perf_counter
        begun = clock()
        frame = next(self._frames, None)
        if frame is None:
            self._begin_anew()
            begun = clock()
            frame = next(self._frames)
        return frame, clock() - begun

    def work(self, frame: npt.NDArray[np.uint8], decode_s: float) -> tuple[float, ...]:
        """Takes a decoded frame the rest of the way; the seconds of each of STAGES."""
        clock = time.perf_counter
        decoded = clock()
        feeds = self._fixture.prepare(frame)
        prepared = clock()
        answer = self._session.run(feeds)
        segmented = clock()
        mask = self._fixture.decide(answer, *frame.shape[:2])
        decided = clock()
        drawn = draw(frame, mask, self._fixture.palette)
        painted = clock()
        self._encoder.write(drawn)
        marks = (decoded, prepared, segmented, decided, painted, clock())
        return (decode_s, *(after - before for before, after in itertools.pairwise(marks)))

    def step(self) -> tuple[float, ...]:
        """The next frame the whole way."""
        return self.work(*self.take())

    @property
    def codec(self) -> str:
        """What decodes and what encodes."""
        return f"{self._info.codec}, {self._encoder.codec}"

    def _begin_anew(self) -> None:
        self._frames = read_frames(self._clip)
        if self._later is not None:  # the drawn clip is whole: what is encoded from now on is thrown away
            self._encoder.__exit__(None, None, None)
            self._encoder, self._later = self._later, None

    def _open(self, path: Path | None) -> Encoder:
        return Encoder(path, self._info.width, self._info.height, self._info.rate)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for encoder in (self._encoder, self._later):
            if encoder is not None:
                encoder.__exit__(kind, error, trace)


@dataclass(slots=True)
class Shown:
    """What became of a camera's frames: seconds from when one was due until it was drawn and encoded; those dropped."""

    latencies: list[float] = field(default_factory=list)
    stages: list[tuple[float, ...]] = field(default_factory=list)
    dropped: int = 0
    ended: float = 0.0


def follow(
    pipeline: Pipeline, begin: float, fps: float, total: int, stopped: Callable[[Shown], bool] = lambda _: False
) -> Shown:
    """Takes the frames of a camera that gives ``total`` of them, one every 1 / ``fps`` seconds from ``begin``.

    The newest frame is taken; one that a newer overtook before it was taken is dropped. It is decoded all the same,
    since the next one builds on it. ``stopped`` is asked after every frame.
    """
    seen, last, clock = Shown(), -1, time.perf_counter
    while last < total - 1 and not stopped(seen):
        newest = min(int((clock() - begin) * fps), total - 1)
        number = max(last + 1, newest)
        due = begin + number / fps
        if (left := due - clock()) > 0:
            time.sleep(left)
        seen.dropped += number - last - 1
        passed = sum(pipeline.take()[1] for _ in range(last + 1, number))
        frame, decode_s = pipeline.take()
        seen.stages.append(pipeline.work(frame, passed + decode_s))
        seen.ended, last = clock(), number
        seen.latencies.append(seen.ended - due)
    return seen


def stage_series(stages: list[tuple[float, ...]]) -> dict[str, list[float]]:
    """The seconds of each stage, one a frame, by the stage's name."""
    return {f"{name}_s": list(times) for name, times in zip(STAGES, zip(*stages, strict=True), strict=True)}


def stage_percentiles(stages: list[tuple[float, ...]]) -> dict[str, dict[str, float]]:
    """p50, p95 and p99 of each stage in seconds, for people."""
    return {
        name: {f"p{q}": round(percentile(times, q / 100), 7) for q in (50, 95, 99)}
        for name, times in zip(STAGES, stage_series(stages).values(), strict=True)
    }


def video(stage: ScenarioContext) -> tuple[VideoSegmentation, Path]:
    """The workload and its clip; KpiError when the workload is none of video."""
    fixture: Any = stage.workload()
    if not isinstance(fixture, VideoSegmentation):
        raise KpiError("the scenario plays a clip, and the workload has none", "its task is video-segmentation")
    return fixture, clip_in(stage.requests)
