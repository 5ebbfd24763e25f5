"""MLPerf's SingleStream: one request at a time, each timed from host input to host output."""

from __future__ import annotations

import gc
import itertools
import time
from typing import Any

from harness.measure.requests import alone
from harness.measure.runtimes.base import TensorSession
from harness.measure.scenarios.base import ScenarioContext, TensorScenario
from harness.measure.steady import warm_up

_MOST = 20_000


class SingleStream(TensorScenario):
    """Batch 1, the request samples in turn, after steady state."""

    name = "single-stream"
    request = "a request"
    title = "one request at a time"

    def run(self, session: TensorSession, stage: ScenarioContext) -> dict[str, Any]:
        requests = itertools.cycle(alone(stage.parts))
        warmth = warm_up(lambda: session.run(next(requests)))
        samples: list[float] = []
        clock = time.perf_counter
        # A collection in the middle of a request would be Python's time, not the artifact's.
        gc.collect()
        gc.disable()
        with stage.watch():
            begin = clock()
            end = begin
            while (end - begin < stage.seconds or len(samples) < stage.samples) and len(samples) < _MOST:
                feeds = next(requests)
                start = clock()
                session.run(feeds)
                end = clock()
                samples.append(end - start)
        gc.enable()
        return {
            "samples_s": samples,
            "completed": len(samples),
            "elapsed_s": end - begin,
            "batch": 1,
            "warmup": warmth,
        }
