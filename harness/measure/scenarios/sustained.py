"""One request after the other for minutes, until the machine is as warm as it gets: what it still gives then."""

from __future__ import annotations

import gc
import itertools
import random
import time
from typing import TYPE_CHECKING, Any

from harness.core.registry import options_table
from harness.core.statistics import percentile
from harness.measure.machine.pauses import Pauses
from harness.measure.requests import alone
from harness.measure.scenarios.base import ScenarioContext, TensorScenario
from harness.measure.steady import warm_up

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.measure.machine.temperature import Warmth
    from harness.measure.runtimes.base import Arrays, TensorSession

_LEAST, _MOST = 0.05, 600.0
_PART_S = 60.0
_KEPT, _KEPT_FIRST, _KEPT_OF_A_WINDOW = 20_000, 5_000, 2_000
_WINDOWS = 100


class Requests:
    """Requests of a span of time: how many, from when to when, their durations; of very many evenly spread ones.

    Of each few in a row one is kept, drawn by lot: the samples come in turn, so that every second request, say, may be
    the short one.
    """

    def __init__(self, most: int) -> None:
        self.samples: list[float] = []
        self.count = 0
        self.begin = self.end = 0.0
        self._most, self._every, self._drawn = most, 1, 0
        self._lots = random.Random(0)  # noqa: S311 - a choice that may be known

    def add(self, start: float, end: float) -> None:
        """One more, by the same clock."""
        if not self.count:
            self.begin = start
        place = self.count % self._every
        if place == 0 and self._every > 1:
            self._drawn = self._lots.randrange(self._every)
        if place == self._drawn:
            self.samples.append(end - start)
        self.count, self.end = self.count + 1, end
        if len(self.samples) >= self._most and self.count % (2 * self._every) == 0:
            pairs = zip(self.samples[::2], self.samples[1::2], strict=True)
            self.samples, self._every = [self._lots.choice(pair) for pair in pairs], 2 * self._every

    @property
    def seconds(self) -> float:
        """From the first one's start to the last one's end."""
        return self.end - self.begin


class Sustained(TensorScenario):
    """Batch 1, the request samples in turn, for a given time. The requests of the last minute are what is judged.

    Those of the first minute are kept as ``series.first_s``; of less than three minutes a third takes the place of a
    minute. ``details.windows`` says of each hundredth of the time when it ended, its requests, their percentiles, and
    how warm and how fast the machine was then. Where it slept, or the process was stopped, all begins again.
    """

    name = "sustained"
    request = "a request of the last minute"
    title = "one request after the other, for minutes"
    heats = True

    @options_table
    class Options:
        """``minutes``: how long each process asks."""

        minutes: float = 5.0

        def __post_init__(self) -> None:
            if not _LEAST <= self.minutes <= _MOST:
                raise ValueError(f"minutes must be from {_LEAST:g} to {_MOST:g}")

    @property
    def span_s(self) -> float:
        return 60.0 * float(self.options.minutes)

    def run(self, session: TensorSession, stage: ScenarioContext) -> dict[str, Any]:
        requests = itertools.cycle(alone(stage.parts))
        warmth = warm_up(lambda: session.run(next(requests)))
        gc.collect()
        gc.disable()
        with stage.watch(), Pauses() as pauses:
            while (seen := self._asked(session, requests, stage, pauses)) is None:
                stage.progress("it stood still and cooled down meanwhile: begins again")
        gc.enable()
        return {**seen, "batch": 1, "warmup": warmth}

    def _asked(
        self, session: TensorSession, requests: Iterator[Arrays], stage: ScenarioContext, pauses: Pauses
    ) -> dict[str, Any] | None:
        """What is seen from the first request to the last; None after a pause."""
        span, part = self.span_s, min(_PART_S, self.span_s / 3)
        windows = _Windows(span / _WINDOWS)
        first, last = Requests(_KEPT_FIRST), Requests(_KEPT)
        clock, told = time.perf_counter, 0
        begin = end = clock()
        while end - begin < span or last.count < stage.samples:
            feeds = next(requests)
            start = clock()
            session.run(feeds)
            end = clock()
            windows.current.add(start, end)
            if start - begin < part:
                first.add(start, end)
            if end - begin > span - part:
                last.add(start, end)
            if end - begin >= windows.due:
                windows.close(end - begin, stage.warmth())
                if pauses.seen():
                    return None
                if (minutes := int((end - begin) / 60)) > told:
                    told = minutes
                    stage.progress(f"{minutes} of {self.options.minutes:g} min")
        if pauses.seen():
            return None
        return {
            "samples_s": last.samples,
            "completed": last.count,
            "elapsed_s": last.seconds,
            "series": {
                "first_s": first.samples, "first_completed": [first.count], "first_elapsed_s": [first.seconds],
            },
            "details": {"windows": windows.columns, "part_s": part, "span_s": end - begin},
        }  # fmt: skip


class _Windows:
    """The windows so far as columns, and the one that is open."""

    def __init__(self, length_s: float) -> None:
        self.columns: dict[str, list[float | None]] = {
            name: [] for name in ("end_s", "requests", "p50_s", "p99_s", "celsius", "mhz")
        }
        self.current = Requests(_KEPT_OF_A_WINDOW)
        self._length_s = self.due = length_s

    def close(self, now: float, warmth: Warmth) -> None:
        """Ends the open window at ``now``, seconds since the first request began."""
        samples = self.current.samples
        row = (now, self.current.count, percentile(samples, 0.5), percentile(samples, 0.99))
        for column, value in zip(self.columns.values(), (*row, warmth.celsius, warmth.mhz), strict=True):
            column.append(value)
        self.current, self.due = Requests(_KEPT_OF_A_WINDOW), now + self._length_s
