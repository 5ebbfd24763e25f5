"""One line that says what is going on, drawn behind the test runner's own and taken away again."""

from __future__ import annotations

import threading
import time
from contextlib import AbstractContextManager
from typing import Protocol, TextIO

from harness.core.text import plain

_LEAST = 30


class Terminal(Protocol):
    """What is asked of the runner's terminal writer."""

    _file: TextIO

    @property
    def fullwidth(self) -> int:
        """Columns of the terminal."""

    @property
    def width_of_current_line(self) -> int:
        """Columns of the current line that are taken."""


class Progress:
    """Draws only where somebody watches: ``terminal`` is None when the output is not a terminal."""

    def __init__(self, terminal: Terminal | None) -> None:
        self._terminal = terminal
        self._begun = time.monotonic()
        self._drawing = threading.Lock()  # several machines at once have something to say

    def draw(self, text: str, uncaptured: AbstractContextManager[object]) -> None:
        """Shows ``text`` with the seconds since the start; an empty one clears the line.

        Written while ``uncaptured`` is entered: in the middle of a test the runner captures what is printed.
        """
        terminal = self._terminal
        if terminal is None:
            return
        room = terminal.fullwidth - terminal.width_of_current_line - 2
        if room < _LEAST:
            return
        elapsed = f" [{time.monotonic() - self._begun:.0f} s]" if text else ""
        shown = f" {plain(text)[: room - len(elapsed)]}{elapsed}" if text else ""
        with self._drawing, uncaptured:
            # Saved cursor, cleared line, text, restored cursor: the runner's own line stays as it was.
            terminal._file.write(f"\x1b7\x1b[K{shown}\x1b8")  # noqa: SLF001
            terminal._file.flush()  # noqa: SLF001
