"""Cuts the connection to a board at random moments: the session there, the client here, or the agent."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import psutil

from tests.support.boards import Board

WAYS = ("session", "client", "agent")


@dataclass
class Cutter:
    """``pause`` are the least and the most seconds between two cuts; ``cuts`` counts them by what was killed."""

    board: Board
    chance: random.Random
    pause: tuple[float, float]
    most: int
    cuts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(WAYS, 0))

    @property
    def count(self) -> int:
        return sum(self.cuts.values())

    @contextmanager
    def cutting(self) -> Iterator[None]:
        """Cuts meanwhile, ``most`` times in all."""
        over = threading.Event()
        thread = threading.Thread(target=self._cut, args=(over,))
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _cut(self, over: threading.Event) -> None:
        while not over.wait(self.chance.uniform(*self.pause)) and self.count < self.most:
            way = self.chance.choice(WAYS)
            victims = self._victims(way)
            for victim in victims:
                with suppress(psutil.Error):
                    victim.kill()
            self.cuts[way] += bool(victims)

    def _victims(self, way: str) -> list[psutil.Process]:
        if way == "session":
            return self.board.sessions()
        if way == "client":
            return self.board.clients()
        workers = self.board.workers()
        return [process for process in self.board.agents() if process not in workers]
