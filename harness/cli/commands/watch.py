"""The command that judges again what was changed."""

from __future__ import annotations

import argparse
import os
import signal
import sys

from harness.cli.commands.base import Command
from harness.core.text import plain


class Watch(Command):
    """``kpi watch``; what it does not know is for pytest."""

    name = "watch"
    title = "judges again what a saved change can affect, until Ctrl-C; other options go to pytest"

    @classmethod
    def arguments(cls, parser: argparse.ArgumentParser) -> None:
        parser.set_defaults(passes_on=True)

    @classmethod
    def run(cls, chosen: argparse.Namespace) -> int:
        from harness.watch.loop import Watch as Loop

        # Also where a shell started it in the background; its children then heed an interrupt too.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.default_int_handler)
        rest = [text for index, text in enumerate(chosen.rest) if index or text != "--"]
        try:
            Loop(chosen.kpis, rest, _say, _renew).run()
        except KeyboardInterrupt:
            _say("ended")
        return 0


def _say(text: str) -> None:
    print(f"kpi watch: {plain(text)}", flush=True)


def _renew() -> None:
    """Restarts the command in this process, unless the harness can't be loaded as it is now."""
    from harness.watch.loop import importable

    if importable():
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606
