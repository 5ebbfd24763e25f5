"""Whether this machine slept, or this process stood still, so that what had become warm has cooled down."""

from __future__ import annotations

import signal
import threading
import time
from types import TracebackType
from typing import Any, Self

_SLEPT_S = 0.5


class Pauses:
    """Notices pauses while it is entered: the sleep of a machine (Linux), a stop and its end (SIGSTOP, SIGCONT)."""

    def __init__(self) -> None:
        self._slept, self._continued = _slept(), False
        self._before: Any = None

    def __enter__(self) -> Self:
        if hasattr(signal, "SIGCONT") and threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGCONT, self._note)
            signal.siginterrupt(signal.SIGCONT, False)  # noqa: FBT003 - the library's own
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._before is not None:
            signal.signal(signal.SIGCONT, self._before)

    def seen(self) -> bool:
        """Whether there was one since this was last asked."""
        slept, continued = _slept(), self._continued
        paused = continued or slept - self._slept > _SLEPT_S
        self._slept, self._continued = slept, False
        return paused

    def _note(self, *_: object) -> None:
        self._continued = True


def _slept() -> float:
    """Seconds for which the machine has slept since it was started; 0 where that is not shown."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return 0.0 if clock is None else time.clock_gettime(clock) - time.clock_gettime(time.CLOCK_MONOTONIC)
