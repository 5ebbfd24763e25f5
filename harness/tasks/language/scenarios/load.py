"""A served language model under load over HTTP: so many clients at once, or requests that come at random."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from harness.core.errors import KpiError
from harness.core.registry import check_counts, options_table
from harness.measure.loadgen import ab
from harness.measure.loadgen.client import Client, allow_connections, poisson
from harness.measure.loadgen.dialects import Wish
from harness.measure.loadgen.prompts import prompts_of, served_prompts
from harness.measure.loadgen.reply import Limits, Reply, summary
from harness.measure.scenarios.base import Scenario, ScenarioContext
from harness.measure.steady import warm_up
from harness.tasks.language.runtimes.endpoint import EndpointSession
from harness.tasks.language.workload import SAMPLES, read_prompts

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_MOST = 20_000
_GIVE_UP = 3


class Load(Scenario[EndpointSession]):
    """MLPerf's Server for tokens, and its closed loop. A request that fails is counted, and the others go on.

    In a closed loop each client asks again when it was answered, and a slow server is asked less. With ``rate``
    requests are due at random times (Poisson), each is sent when it is due whatever became of the others, and latency
    and time to first token count from when it was due: a queue shows (no coordinated omission).
    """

    name = "load"
    request = "a request under load"
    title = "requests over HTTP, many at once"
    session_type = EndpointSession

    @options_table
    class Options:
        """How much is asked, and what is in time.

        ``concurrency``: clients of the closed loop; ``rate``: requests a second, which nothing else limits;
        ``requests``: how many, else as many as the time of a process permits. ``tokens``: the most of an answer;
        ``exactly``: the end token is ignored, so that every answer has as many; ``words``: the length of the prompts,
        else the evaluation prompts as they are; ``stream``: whether answers come piece by piece. ``limit_s``,
        ``ttft_limit_s``, ``tpot_limit_s``: what goodput counts. ``driver``: aiohttp, or ab for figures as
        ApacheBench takes them. ``repeat_prompts``: whether a prompt may be sent again, so that a server's cache of
        prefixes answers in part; else no two requests begin alike.
        """

        concurrency: int = 4
        rate: float | None = None
        requests: int | None = None
        tokens: int = 32
        exactly: bool = False
        words: int | None = None
        stream: bool = True
        limit_s: float = 1.0
        ttft_limit_s: float | None = None
        tpot_limit_s: float | None = None
        driver: Literal["aiohttp", "ab"] = "aiohttp"
        repeat_prompts: bool = False

        def __post_init__(self) -> None:
            check_counts(concurrency=self.concurrency, requests=self.requests, tokens=self.tokens, words=self.words)
            limits = (self.rate, self.limit_s, self.ttft_limit_s, self.tpot_limit_s)
            if any(value is not None and value <= 0 for value in limits):
                raise ValueError("rate and limits must be above 0")
            if self.driver == "ab" and self.rate is not None:
                raise ValueError("ab knows no rate: it asks in a closed loop alone")
            if self.driver == "ab" and not self.repeat_prompts:
                raise ValueError("ab sends one prompt again and again: set repeat_prompts = true")

    def first_request(
        self, stage: ScenarioContext
    ) -> Callable[[EndpointSession], Mapping[str, npt.NDArray[np.generic]]]:
        prompt = self._prompt(stage)
        return lambda session: first_answer(session, prompt, self._wish)

    def _prompt(self, stage: ScenarioContext) -> Callable[[int], str]:
        return served_prompts(chosen_prompts(stage, self.options.words), repeat=self.options.repeat_prompts)

    @property
    def _wish(self) -> Wish:
        return Wish(self.options.tokens, exactly=self.options.exactly, stream=self.options.stream)

    def run(self, session: EndpointSession, stage: ScenarioContext) -> dict[str, Any]:
        chosen, prompts = self.options, chosen_prompts(stage, self.options.words)
        with Client(session.endpoint, self._prompt(stage), self._wish) as client:
            warmth = warm(client, session)
            if chosen.driver == "ab":
                seen = self._ab(session, prompts[0], stage, client.one().latency)
            else:
                seen = self._loop(client, session, stage)
        asked = {
            "driver": chosen.driver,
            "prompts": len(set(prompts)),
            "repeat_prompts": chosen.repeat_prompts,
            "stream": chosen.stream,
        }
        loop = {"concurrency": chosen.concurrency} if chosen.rate is None else {"rate": chosen.rate}
        details = {**asked, **loop, "limit_s": chosen.limit_s, **seen["details"]}
        return {**seen, "warmup": warmth, "details": details}

    def _loop(self, client: Client, session: EndpointSession, stage: ScenarioContext) -> dict[str, Any]:
        chosen = self.options
        limits = Limits(chosen.limit_s, chosen.ttft_limit_s, chosen.tpot_limit_s)
        if chosen.rate is None:
            least = max(stage.samples, chosen.concurrency)
            allow_connections(chosen.concurrency)

            def enough(sent: int, seconds: float) -> bool:
                if chosen.requests is not None:
                    return sent >= int(chosen.requests)
                return sent >= _MOST or (sent >= least and seconds >= stage.seconds)

            with quiet(stage):
                replies = client.closed(chosen.concurrency, enough)
        else:
            wanted = max(stage.samples, math.ceil(chosen.rate * stage.seconds))
            times = poisson(chosen.rate, chosen.requests or min(_MOST, wanted))
            allow_connections(len(times))
            with quiet(stage):
                replies = client.opened(times)
        session.check(failed=any(reply.error for reply in replies))
        return answered(replies, limits, client.endpoint.url)

    def _ab(self, session: EndpointSession, prompt: str, stage: ScenarioContext, latency: float) -> dict[str, Any]:
        chosen = self.options
        fitting = math.ceil(stage.seconds * chosen.concurrency / latency)
        requests = chosen.requests or min(_MOST, max(stage.samples, chosen.concurrency, fitting))
        with quiet(stage):
            report = ab.run(session.endpoint, prompt, self._wish, requests, chosen.concurrency)
        session.check(failed=bool(report.failed))
        failed = min(sum(report.failed.values()), report.completed)  # it counts some under two kinds
        if failed == report.completed:
            raise KpiError(f"no request of {requests} was answered: {dict(report.failed)}", "see measure.log")
        return {
            "samples_s": list(report.latencies),
            "completed": report.completed - failed,
            "elapsed_s": report.seconds,
            "batch": 1,
            "details": {
                "sent": requests,
                "failed": failed,
                "errors": dict(report.failed),
                "in_time": max(0, sum(latency <= chosen.limit_s for latency in report.latencies) - failed),
                "ab": {"version": report.version, "rate": report.rate, "percentiles": dict(report.percentiles)},
                "remarks": ["ab does not see answers that are cut off or wrong, nor tokens"],
            },
        }


def chosen_prompts(stage: ScenarioContext, words: int | None) -> list[str]:
    """The evaluation prompts, or sixteen of a given length made of them."""
    texts = [prompt.prompt for prompt in read_prompts(stage.requests / SAMPLES)]
    return texts if words is None else prompts_of(texts, (words,))[words]


def first_answer(
    session: EndpointSession, prompt: Callable[[int], str], wish: Wish
) -> Mapping[str, npt.NDArray[np.generic]]:
    """The first request of all; KpiError says what is wrong where it is not answered."""
    dialect = session.endpoint.dialect
    if wish.exactly and not dialect.exact:
        raise KpiError(f"the protocol {dialect.name} can't ignore the end token", "leave exactly out")
    with Client(session.endpoint, prompt, wish) as client:
        reply = client.one()
    if reply.error:
        session.check(failed=True)
        raise KpiError(f"the server at {session.endpoint.url} does not answer: {reply.error}: {reply.said}")
    return {}


def warm(client: Client, session: EndpointSession) -> dict[str, Any]:
    """Requests one by one until they take as long as the ones before, six at least.

    KpiError when three in a row are not answered.
    """
    failed = 0

    def once() -> None:
        nonlocal failed
        reply = client.one()
        failed = failed + 1 if reply.error else 0
        if failed == _GIVE_UP:
            session.check(failed=True)
            raise KpiError(f"the server at {client.endpoint.url} does not answer: {reply.error}: {reply.said}")

    return warm_up(once, window_runs=2)


@contextmanager
def quiet(stage: ScenarioContext) -> Iterator[None]:
    """What is timed: watched, and without this process's own garbage collector."""
    gc.collect()
    gc.disable()
    try:
        with stage.watch():
            yield
    finally:
        gc.enable()


def answered(replies: list[Reply], limits: Limits, url: str) -> dict[str, Any]:
    """The summary; KpiError where no request was answered at all."""
    if all(reply.error for reply in replies):
        kinds = "; ".join(f"{kind}: {said}" for kind, said in {r.error: r.said for r in replies}.items())
        raise KpiError(f"none of {len(replies)} requests to {url} was answered: {kinds or 'none was sent'}")
    return summary(replies, limits)
