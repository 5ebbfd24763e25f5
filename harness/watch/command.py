"""``kpi watch``."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path

from harness.reports.text import plain
from harness.watch.loop import Watch, importable


def add_watch(parser: argparse.ArgumentParser) -> None:
    """The options of ``kpi watch``; what it does not know is for pytest."""
    parser.add_argument("--kpis", type=Path, default=argparse.SUPPRESS, help="the file of promises")
    parser.set_defaults(passes_on=True)


def watch(chosen: argparse.Namespace) -> int:
    """Watches until Ctrl-C (or SIGTERM), which is how it is meant to end: 0."""
    # Also where a shell started it in the background; its children then heed an interrupt too.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    rest = [text for index, text in enumerate(chosen.rest) if index or text != "--"]
    watched = Watch(chosen.kpis, rest, _say, _renew)
    try:
        watched.run()
    except KeyboardInterrupt:
        _say("ended")
    return 0


def _say(text: str) -> None:
    print(f"kpi watch: {plain(text)}", flush=True)


def _renew() -> None:
    """Starts the command anew in this very process, unless the harness can't be loaded as it is now."""
    if importable():
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606
