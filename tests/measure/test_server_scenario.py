"""Load in a closed loop and as it comes, against a session whose service time is known."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from harness.core.errors import KpiError
from harness.measure.records import Proof
from harness.measure.runtimes.base import TensorSession
from harness.measure.scenarios.base import ScenarioContext
from harness.measure.scenarios.server import Server

if TYPE_CHECKING:
    from harness.measure.runtimes.base import Arrays

SERVICE_S = 0.01


class OneAtATime(TensorSession):
    """A server that takes 10 ms for a request and answers in the order in which they came."""

    def __init__(self, fails_at: int = -1) -> None:
        self.turn = threading.Condition()
        self.came = 0
        self.answered = 0
        self.fails_at = fails_at

    def run(self, feeds: Arrays) -> dict[str, Any]:
        with self.turn:
            number, self.came = self.came, self.came + 1
            self.turn.wait_for(lambda: self.answered == number)
        time.sleep(SERVICE_S)
        with self.turn:
            self.answered += 1
            self.turn.notify_all()
        if self.answered == self.fails_at:
            raise KpiError("the server failed")
        return dict(feeds)

    def proof(self) -> Proof:
        return Proof(runtime="test", version="1", device="CPU", precision="f32")


@contextmanager
def unwatched() -> Iterator[None]:
    yield


def play(session: TensorSession, seconds: float = 0.5, samples: int = 20, **options: Any) -> dict[str, Any]:
    stage = ScenarioContext(
        inputs={"x": np.zeros((4, 1), np.float32)}, requests=Path(), seconds=seconds, samples=samples,
        workload=lambda: pytest.fail("no data set is needed"), outputs=Path(), progress=print, watch=unwatched,
    )  # fmt: skip
    return Server(Server.Options(**options)).run(session, stage)


def under_way(seen: dict[str, Any]) -> float:
    """How many requests were under way on average, by Little's law: the rate times the mean latency.

    It says how long the queue was, however slow this machine is just now.
    """
    return float(sum(seen["samples_s"]) / seen["elapsed_s"])


def test_a_closed_loop_has_as_many_requests_under_way_as_clients() -> None:
    seen = play(OneAtATime(), concurrency=4)
    assert under_way(seen) == pytest.approx(4, rel=0.15)
    assert seen["completed"] / seen["elapsed_s"] <= 1 / SERVICE_S
    assert seen["details"] == {"concurrency": 4, "rate": None, "sent_late": 0}


def test_twice_the_capacity_shows_the_queue_that_a_closed_loop_hides() -> None:
    opened = play(OneAtATime(), concurrency=4, rate=2 / SERVICE_S)
    # A closed loop would say 4, whatever is asked of the server; here half of the requests wait in the end.
    assert under_way(opened) > 12
    # The last one was due after some 0.5 s and can't be answered before all others were, each 10 ms.
    assert opened["samples_s"][-1] > 0.2
    assert opened["details"]["sent_late"] > opened["completed"] / 4


def test_a_fifth_of_the_capacity_keeps_the_queue_short() -> None:
    seen = play(OneAtATime(), concurrency=16, rate=0.2 / SERVICE_S, seconds=1.0)
    assert seen["completed"] == 20
    assert under_way(seen) < 4


# Of the first requests of each client one fails while the others wait for it, or have not begun.
@pytest.mark.parametrize("fails_at", [8, 36, 40, 44])
@pytest.mark.parametrize("rate", [None, 80.0])
def test_a_request_that_fails_ends_the_run_and_nothing_hangs(fails_at: int, rate: float | None) -> None:
    before = time.monotonic()
    with pytest.raises(KpiError, match="the server failed"):
        play(OneAtATime(fails_at), concurrency=3, rate=rate, samples=60)
    assert time.monotonic() - before < 30


def test_every_process_is_asked_at_the_same_times() -> None:
    first, second = (play(OneAtATime(), concurrency=2, rate=50.0, seconds=0.2) for _ in range(2))
    assert first["completed"] == second["completed"] == 20
