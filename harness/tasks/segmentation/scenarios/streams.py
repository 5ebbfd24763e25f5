"""How many cameras one machine follows at once: a search over loads, each held or not."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.registry import check_counts, options_table
from harness.measure.scenarios.base import ScenarioContext, TensorScenario
from harness.measure.steady import warm_up
from harness.tasks.segmentation.pipeline import Pipeline, Shown, follow, video
from harness.tasks.segmentation.scenarios.stream import check_rate

if TYPE_CHECKING:
    from harness.measure.runtimes.base import TensorSession
    from harness.tasks.segmentation.workload import VideoSegmentation


class Streams(TensorScenario):
    """The largest number of streams that are held: each at ``fps``, each with at most ``dropped`` dropped frames.

    A stream is a thread with a way in of its own to the artifact, its own decoder and its own encoder; streams begin
    evenly spread over a frame's time. The number is doubled until a load is not held, then halved in between; a load
    ends as soon as one stream has dropped too many.
    """

    name = "streams"
    title = "as many cameras as it holds"
    reads_workload = True

    @options_table
    class Options:
        """``fps`` of a camera; ``dropped``: frames it may lose; ``trial_s``: length of a load; ``most`` streams."""

        fps: float = 30.0
        dropped: int = 0
        trial_s: float = 2.0
        most: int = 64

        def __post_init__(self) -> None:
            check_rate(self.fps)
            check_counts(most=self.most)
            if self.dropped < 0:
                raise ValueError("dropped must be at least 0")
            if not 0 < self.trial_s <= 600:  # noqa: PLR2004 - ten minutes are beyond any use
                raise ValueError("trial_s must be above 0 and at most 600")

    def run(self, session: TensorSession, stage: ScenarioContext) -> dict[str, Any]:
        fixture, clip = video(stage)
        with Pipeline(session, fixture, clip) as rehearsal:
            warmth = warm_up(rehearsal.step)
        tried: list[dict[str, Any]] = []
        begin, frames = time.perf_counter(), 0

        def held(count: int) -> bool:
            nonlocal frames
            stage.progress(f"{count} streams")
            drops, taken = self._trial(session, fixture, clip, count)
            frames += taken
            tried.append({"streams": count, "dropped": drops, "held": max(drops) <= self.options.dropped})
            return bool(tried[-1]["held"])

        with ExitStack() as stack:
            gc.collect()
            gc.disable()
            stack.callback(gc.enable)
            with stage.watch():
                most = largest(held, self.options.most)
        return {
            "completed": frames,
            "elapsed_s": time.perf_counter() - begin,
            "batch": 1,
            "warmup": warmth,
            "details": {"streams": most, "fps": self.options.fps, "tried": tried},
        }

    def _trial(
        self, session: TensorSession, fixture: VideoSegmentation, clip: Path, count: int
    ) -> tuple[Sequence[int], int]:
        """Dropped frames of each of ``count`` streams, and how many frames were shown in all."""
        fps = self.options.fps
        total = max(1, round(self.options.trial_s * fps))
        ways = [session, *(session.clone_for_thread() for _ in range(count - 1))]
        gate, over = threading.Barrier(count + 1), threading.Event()

        def stopped(shown: Shown) -> bool:
            if shown.dropped > self.options.dropped:
                over.set()
            return over.is_set()

        def stream(number: int) -> Shown:
            try:
                with Pipeline(ways[number], fixture, clip) as pipeline:
                    pipeline.step()
                    gate.wait()
                    return follow(pipeline, time.perf_counter() + number / (count * fps), fps, total, stopped)
            except BaseException:
                gate.abort()  # no other thread may wait for this one
                over.set()
                raise

        with ThreadPoolExecutor(count) as pool:
            under_way = [pool.submit(stream, number) for number in range(count)]
            with suppress(threading.BrokenBarrierError):
                gate.wait()
            # The one that failed says why; those that waited for it only say that they did.
            failed = [error for way in under_way if (error := way.exception()) is not None]
            for error in failed:
                if not isinstance(error, threading.BrokenBarrierError):
                    raise error
            shown = [way.result() for way in under_way]
        for way in ways[1:]:
            way.close()
        return [one.dropped for one in shown], sum(len(one.latencies) for one in shown)


def largest(held: Callable[[int], bool], most: int) -> int:
    """The largest count up to ``most`` that is held, by doubling, then bisection; 0 when not even 1 is."""
    low, high = 0, 1
    while high <= most and held(high):
        low, high = high, 2 * high
    if high > most:
        if low == most:
            return low
        high = most + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if held(middle) else (low, middle)
    return low
