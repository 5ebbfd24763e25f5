"""MLPerf's Offline: all samples are there at once, processed in batches as fast as the runtime can."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from harness.core.registry import options_table
from harness.measure.requests import together
from harness.measure.runtimes.base import TensorSession
from harness.measure.scenarios.base import ScenarioContext, TensorScenario
from harness.measure.steady import warm_up

if TYPE_CHECKING:
    from harness.measure.runtimes.base import Arrays


class Offline(TensorScenario):
    """Batches of a fixed size, one after the other or as many in flight as the runtime asks for."""

    name = "offline"
    request = "a batch"
    title = "batches"

    @options_table
    class Options:
        """``batch``: samples in a batch; ``asynchronous``: keep several requests in flight where the runtime can."""

        batch: int = 32
        asynchronous: bool = False

        def __post_init__(self) -> None:
            if not 1 <= self.batch <= 65536:  # noqa: PLR2004 - far beyond any memory
                raise ValueError("batch must be from 1 to 65536")

    @property
    def batch(self) -> int | None:
        return int(self.options.batch)

    def run(self, session: TensorSession, stage: ScenarioContext) -> dict[str, Any]:
        size = self.options.batch
        batches = together(stage.parts, size)
        served = 0

        def source(seconds: float, least: int) -> Iterator[Arrays]:
            nonlocal served
            begin, served = time.perf_counter(), 0
            while time.perf_counter() - begin < seconds or served < least:
                served += 1
                yield batches[served % len(batches)]

        def once() -> None:
            """What is timed, in small: as many requests as are in flight, or one batch."""
            if self.options.asynchronous:
                session.run_all(source(0.0, 2 * session.requests))
            else:
                session.run(batches[0])

        warmth = warm_up(once, most_s=2.0, window_runs=1)
        samples: list[float] = []
        gc.collect()
        gc.disable()
        with stage.watch():
            begin = end = time.perf_counter()
            if self.options.asynchronous:
                session.run_all(source(2 * stage.seconds, 3 * session.requests))
                end = time.perf_counter()
            else:
                for feeds in source(2 * stage.seconds, 3):
                    start = time.perf_counter()
                    session.run(feeds)
                    end = time.perf_counter()
                    samples.append(end - start)
        gc.enable()
        return {
            "samples_s": samples,
            "completed": served * size,
            "elapsed_s": end - begin,
            "batch": size,
            "warmup": {**warmth, "requests": session.requests if self.options.asynchronous else 1},
        }
