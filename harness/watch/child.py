"""``python -m harness.watch.child``: pytest, which says nothing where it is interrupted before it can report."""

from __future__ import annotations

import runpy
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

INTERRUPTED = 2
"""pytest's own exit code for it."""


@contextmanager
def held_back() -> Iterator[None]:
    """What is started within gets an interrupt only once it can heed it: :func:`main` lets it through."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def main() -> int:
    """Runs pytest with the arguments of this process; ends with its exit code."""
    try:
        if hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        runpy.run_module("pytest", run_name="__main__", alter_sys=True)
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
