"""The largest load that a served language model still answers in time: a search over rates."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from harness.core.registry import check_counts, options_table
from harness.core.statistics import percentile
from harness.measure.loadgen.client import Client, allow_connections, poisson
from harness.measure.loadgen.dialects import Wish
from harness.measure.loadgen.prompts import served_prompts
from harness.measure.loadgen.reply import LATE_S, Reply
from harness.measure.loadgen.search import largest
from harness.measure.scenarios.base import Scenario, ScenarioContext
from harness.tasks.language.runtimes.endpoint import EndpointSession
from harness.tasks.language.scenarios.load import chosen_prompts, first_answer, warm

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_LIMITS_LONG = 10
"""A try lasts so many times the limit: a server asked for a tenth more than it can do is then late by the limit."""
_LEAST = 50


class Capacity(Scenario[EndpointSession]):
    """Requests come at random (Poisson) at rates that double until the limit is missed, then close in on it.

    A rate is borne when all requests are answered, the percentile of their latencies within the limit.
    """

    name = "capacity"
    title = "the largest load that is answered in time"
    session_type = EndpointSession

    @options_table
    class Options:
        """What is in time, and how long to look.

        ``limit_s``: of the latency's ``percentile``; ``start``: the first rate, requests a second; ``precision``: how
        near to the largest, as a share; ``budget_s``: for the whole search; ``tokens``, ``exactly``, ``words``,
        ``repeat_prompts``: as of the scenario ``load``.
        """

        limit_s: float = 1.0
        percentile: float = 99.0
        start: float = 4.0
        precision: float = 0.1
        budget_s: float = 120.0
        tokens: int = 32
        exactly: bool = False
        words: int | None = None
        repeat_prompts: bool = False

        def __post_init__(self) -> None:
            check_counts(tokens=self.tokens, words=self.words)
            if min(self.limit_s, self.start, self.budget_s) <= 0:
                raise ValueError("limit_s, start and budget_s must be above 0")
            if not 0 < self.percentile <= 100:  # noqa: PLR2004
                raise ValueError("percentile must lie between 0 and 100")
            if not 0.01 <= self.precision < 1:  # noqa: PLR2004
                raise ValueError("precision must lie between 0.01 and 1")

    def first_request(
        self, stage: ScenarioContext
    ) -> Callable[[EndpointSession], Mapping[str, npt.NDArray[np.generic]]]:
        prompt = self._prompt(stage)
        return lambda session: first_answer(session, prompt, self._wish)

    def _prompt(self, stage: ScenarioContext) -> Callable[[int], str]:
        return served_prompts(chosen_prompts(stage, self.options.words), repeat=self.options.repeat_prompts)

    @property
    def _wish(self) -> Wish:
        return Wish(self.options.tokens, exactly=self.options.exactly)

    def run(self, session: EndpointSession, stage: ScenarioContext) -> dict[str, Any]:
        chosen, tries = self.options, list[dict[str, Any]]()
        kept: list[Reply] = []

        def bears(rate: float) -> bool:
            nonlocal kept
            stage.progress(f"try {len(tries) + 1}: {rate:.4g} requests/s")
            replies = self._tried(client, rate, stage.seconds)
            session.check(failed=any(reply.error for reply in replies))
            tries.append({"rate": rate, **self._seen(replies)})
            if borne := bool(tries[-1]["borne"]):
                kept = replies
            return borne

        with Client(session.endpoint, self._prompt(stage), self._wish) as client:
            warmth = warm(client, session)
            begin = time.perf_counter()
            with stage.watch():
                found = largest(bears, chosen.start, precision=chosen.precision, budget_s=chosen.budget_s)
            seconds = time.perf_counter() - begin
        return {
            "samples_s": [reply.latency for reply in kept],
            "completed": len(kept),
            "elapsed_s": seconds,
            "warmup": warmth,
            "details": {
                "capacity": found.best,
                "limit_s": chosen.limit_s,
                "percentile": chosen.percentile,
                "repeat_prompts": chosen.repeat_prompts,
                "tries": tries,
                "remarks": [f"the search ended {found.stopped}"] if found.stopped else [],
            },
        }

    def _tried(self, client: Client, rate: float, seconds: float) -> list[Reply]:
        wanted = math.ceil(rate * max(seconds, _LIMITS_LONG * self.options.limit_s))
        count = max(_LEAST, wanted)
        allow_connections(count)
        client.one()  # the requests before that ran out of time may keep the server busy still
        return client.opened(poisson(rate, count))

    def _seen(self, replies: list[Reply]) -> dict[str, Any]:
        """A try as it is in the evidence."""
        good = [reply.latency for reply in replies if not reply.error]
        tail = percentile(good, self.options.percentile / 100) if good else None
        return {
            "requests": len(replies),
            "failed": len(replies) - len(good),
            "tail_s": tail,
            "sent_late": sum(reply.sent - reply.due > LATE_S for reply in replies),
            "borne": len(good) == len(replies) and tail is not None and tail <= self.options.limit_s,
        }
