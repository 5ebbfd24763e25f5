"""Several requests at once, in a closed loop or as they come: MLPerf's Server."""

from __future__ import annotations

import gc
import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from harness.core.registry import check_counts, options_table
from harness.measure.requests import alone
from harness.measure.scenarios.base import ScenarioContext, TensorScenario
from harness.measure.steady import warm_up

if TYPE_CHECKING:
    from harness.measure.runtimes.base import Arrays, TensorSession

_MOST = 20_000
_SEED = 1
_LATE_S = 0.001
Span = tuple[float, float, float]
"""When a request was due, when it was sent, when it was answered."""


class Server(TensorScenario):
    """Batch 1, a thread and a way in of its own for each client. A request that fails ends the run.

    In a closed loop each client asks again when it was answered, and a slow server is asked less. With ``rate``
    requests are due at random times (Poisson) whatever the server does, and a latency counts from when the request was
    due: a queue shows (no coordinated omission).
    """

    name = "server"
    request = "a request under load"
    title = "several clients at once"

    @options_table
    class Options:
        """``concurrency``: clients; with a rate, how many requests may be under way. ``rate``: requests a second."""

        concurrency: int = 4
        rate: float | None = None

        def __post_init__(self) -> None:
            check_counts(concurrency=self.concurrency)
            if self.rate is not None and self.rate <= 0:
                raise ValueError("rate must be above 0")

    def run(self, session: TensorSession, stage: ScenarioContext) -> dict[str, Any]:
        requests = alone(stage.parts)
        clients = [session, *(session.clone_for_thread() for _ in range(self.options.concurrency - 1))]
        warmth = warm_up(lambda: session.run(requests[0]))
        gate = threading.Barrier(len(clients) + 1)
        due = self._turns(stage, len(clients))

        def ask(client: TensorSession) -> list[Span]:
            return _ask(client, requests, gate, due)

        gc.collect()
        gc.disable()
        with ThreadPoolExecutor(len(clients)) as pool, stage.watch():
            under_way = [pool.submit(ask, client) for client in clients]
            with suppress(threading.BrokenBarrierError):
                gate.wait()
            # Those that waited for the one that failed have failed too, and do not know why.
            errors = [error for client in under_way if (error := client.exception()) is not None]
            for error in sorted(errors, key=lambda error: isinstance(error, threading.BrokenBarrierError)):
                raise error
            spans = sorted(span for client in under_way for span in client.result())
        gc.enable()
        for client in clients[1:]:
            client.close()
        late = sum(sent - wanted > _LATE_S for wanted, sent, _ in spans)
        return {
            "samples_s": [end - wanted for wanted, _, end in spans],
            "completed": len(spans),
            "elapsed_s": max(end for _, _, end in spans) - spans[0][0],
            "batch": 1,
            "warmup": warmth,
            "details": {"concurrency": len(clients), "rate": self.options.rate, "sent_late": late},
        }

    def _turns(self, stage: ScenarioContext, clients: int) -> Callable[[float], tuple[int, float] | None]:
        """A function of the start that says which request is next and when it is due; None at the end."""
        lock, rate = threading.Lock(), self.options.rate
        least = max(stage.samples, clients)
        if rate is not None:
            chance = random.Random(_SEED)  # noqa: S311 (a schedule, not a secret); the same in every process
            delays = [chance.expovariate(rate) for _ in range(min(_MOST, max(least, int(rate * stage.seconds))))]
        given, at = 0, 0.0

        def turn(begin: float) -> tuple[int, float] | None:
            nonlocal given, at
            with lock:
                if rate is not None:
                    if given == len(delays):
                        return None
                    at += delays[given]
                    wanted = begin + at
                else:
                    wanted = time.perf_counter()
                    if given == _MOST or (given >= least and wanted - begin >= stage.seconds):
                        return None
                given += 1
                return given - 1, wanted

        return turn


def _ask(
    client: TensorSession,
    requests: Sequence[Arrays],
    gate: threading.Barrier,
    turn: Callable[[float], tuple[int, float] | None],
) -> list[Span]:
    """One client's requests. The first few come before all start together."""
    try:
        for feeds in requests[:3]:
            client.run(feeds)
    except BaseException:
        gate.abort()  # no other thread may wait for this one
        raise
    gate.wait()
    clock, spans, begin = time.perf_counter, list[Span](), time.perf_counter()
    while (given := turn(begin)) is not None:
        number, wanted = given
        if (left := wanted - clock()) > 0:
            time.sleep(left)
        sent = clock()
        client.run(requests[number % len(requests)])
        spans.append((wanted, sent, clock()))
    return spans
