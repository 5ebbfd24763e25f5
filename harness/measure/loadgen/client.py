"""Loads an endpoint with requests in a closed loop or at given times, on aiohttp."""

from __future__ import annotations

import asyncio
import errno
import itertools
import random
import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from harness.core.errors import KpiError
from harness.core.libraries import require
from harness.measure.loadgen.dialects import Wish
from harness.measure.loadgen.endpoint import Endpoint
from harness.measure.loadgen.prompts import served_prompts
from harness.measure.loadgen.reply import Reply
from harness.measure.loadgen.stream import Reading, Wrong

if TYPE_CHECKING:
    import aiohttp

T = TypeVar("T")
_SEED = 1
_PATIENCE = 3
"""After so many times ``timeout_s`` without any answer nothing more is sent."""
_KEPT_S = 2.0
"""An idle connection is not used again after this: servers close theirs after some five seconds."""
_JSON = {"Content-Type": "application/json"}


class Client:
    """Connections to one endpoint; used from one thread. A request that fails is a reply that says so.

    ``prompts`` are sent in turn; a function of a request's number is called once for each request. Raises Unavailable
    without aiohttp, KpiError when this process itself runs out of file descriptors.
    """

    def __init__(
        self, endpoint: Endpoint, prompts: Sequence[str] | Callable[[int], str] = (), wish: Wish | None = None
    ) -> None:
        require("aiohttp")
        import aiohttp

        self.endpoint = endpoint
        self.wish = wish or Wish(1)
        self._target = endpoint.target(self.wish)
        self._prompt = prompts if callable(prompts) else served_prompts(prompts, repeat=True)
        self._aiohttp = aiohttp
        self._runner = asyncio.Runner()
        self._http: aiohttp.ClientSession = self._runner.run(self._open())
        self._answered = 0.0

    async def _open(self) -> aiohttp.ClientSession:
        # No limit: requests that wait here for a connection would be a hidden queue.
        connector = self._aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEPT_S)
        timeout = self._aiohttp.ClientTimeout(total=self.endpoint.timeout_s, ceil_threshold=float("inf"))
        return self._aiohttp.ClientSession(connector=connector, timeout=timeout, headers=self.endpoint.headers)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        try:
            self._runner.run(self._http.close())
        finally:
            self._runner.close()

    def get(self, path: str, timeout_s: float) -> tuple[int, bytes]:
        """Status and beginning of what is at ``path``. Raises OSError or aiohttp's errors."""

        async def ask() -> tuple[int, bytes]:
            timeout = self._aiohttp.ClientTimeout(total=timeout_s, ceil_threshold=float("inf"))
            async with self._http.get(self.endpoint.url + path, timeout=timeout, allow_redirects=False) as answer:
                return answer.status, await answer.content.read(1 << 20)

        return self._runner.run(ask())

    def one(self, number: int = 0) -> Reply:
        """One request, and its reply."""
        return self._runner.run(self._ask(number, time.perf_counter()))

    def closed(self, concurrency: int, enough: Callable[[int, float], bool]) -> list[Reply]:
        """Each of ``concurrency`` clients asks again when it was answered, until ``enough(sent, seconds)``."""
        replies: list[Reply] = []
        given = itertools.count()

        async def ask_again() -> None:
            while not self._hopeless():
                sent = next(given)
                if enough(sent, time.perf_counter() - begin):
                    return
                replies.append(await self._ask(sent, time.perf_counter()))

        async def all_of_them() -> None:
            await _together([asyncio.create_task(ask_again()) for _ in range(concurrency)])

        begin = self._answered = time.perf_counter()
        self._runner.run(all_of_them())
        return replies

    def opened(self, times: Sequence[float]) -> list[Reply]:
        """A request at each of ``times`` (seconds from now, rising), whatever became of the ones before.

        A request that is late is sent at once; its latency counts from when it was due.
        """
        return self._runner.run(self._opened(times))

    async def _opened(self, times: Sequence[float]) -> list[Reply]:
        loop, tasks, stop = asyncio.get_running_loop(), list[asyncio.Task[Reply]](), threading.Event()
        begin = self._answered = time.perf_counter()

        def start(number: int, due: float) -> None:
            tasks.append(loop.create_task(self._ask(number, due)))

        def pace() -> None:
            """In a thread of its own: the loop's own timers are as coarse as a millisecond."""
            for number, at in enumerate(times):
                due = begin + at
                if stop.wait(max(0.0, due - time.perf_counter())) or self._hopeless():
                    return
                loop.call_soon_threadsafe(start, number, due)

        try:
            await asyncio.to_thread(pace)
            await asyncio.sleep(0)  # the last one that was due is started by now
        finally:
            stop.set()
        return await _together(tasks)

    def _hopeless(self) -> bool:
        return time.perf_counter() - self._answered > _PATIENCE * self.endpoint.timeout_s

    async def _ask(self, number: int, due: float) -> Reply:
        body = self.endpoint.body(self._prompt(number), self.wish)
        sent = time.perf_counter()
        reading = Reading(self.endpoint.dialect, self.wish, due, sent)
        try:
            reply = await self._read(reading, body)
        except Wrong as error:
            return Reply(due, sent, time.perf_counter(), error=error.kind, said=_line(error))
        except (TimeoutError, OSError, self._aiohttp.ClientError, ValueError) as error:
            kind = self._kind(error, begun=reading.begun)
            said = f"after {self.endpoint.timeout_s:g} s" if kind == "time-out" else _line(error)
            return Reply(due, sent, time.perf_counter(), error=kind, said=said)
        self._answered = reply.end
        return reply

    async def _read(self, reading: Reading, body: bytes) -> Reply:
        async with self._http.post(self._target, data=body, headers=_JSON, allow_redirects=False) as answer:
            if answer.status != 200:  # noqa: PLR2004 - OK
                text = (await answer.content.read(2000)).decode(errors="replace")
                raise Wrong(f"HTTP {answer.status}", _first_line(text) or str(answer.reason))
            async for chunk in answer.content.iter_any():
                reading.feed(chunk)
            return reading.reply()

    def _kind(self, error: Exception, *, begun: bool) -> str:
        known = self._aiohttp
        if isinstance(error, TimeoutError):
            return "time-out"
        if isinstance(error, OSError) and error.errno in {errno.EMFILE, errno.ENFILE}:
            raise KpiError(f"this process can't open more connections: {_line(error)}", "raise `ulimit -n`") from error
        if isinstance(error, known.ClientConnectorError):
            return "refused"
        if isinstance(error, (known.ClientPayloadError, OSError, known.ServerDisconnectedError)):
            return "cut off" if begun or isinstance(error, known.ClientPayloadError) else "dropped"
        return "not understood"


async def _together(tasks: Sequence[asyncio.Task[T]]) -> list[T]:
    """What all of them give; none is left running when one raises."""
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()


def poisson(rate: float, count: int) -> list[float]:
    """When ``count`` requests are due that come at random, ``rate`` a second on average; always the same times."""
    chance = random.Random(_SEED)  # noqa: S311 - a schedule, not a secret
    return list(itertools.accumulate(chance.expovariate(rate) for _ in range(count)))


def allow_connections(wanted: int) -> None:
    """Lets this process open as many connections at once, as far as the system permits."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + 256
    if soft != resource.RLIM_INFINITY and soft < needed:
        most = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))


def _first_line(text: str) -> str:
    return " ".join(text.split())[:200]


def _line(error: Exception) -> str:
    return _first_line(str(error)) or type(error).__name__
