"""The command that holds two runs side by side."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli.commands.base import Command, console, folder_of_runs, written
from harness.core.text import plain

if TYPE_CHECKING:
    from harness.evidence.history.compare import Comparison


class Compare(Command):
    """``kpi compare``."""

    name = "compare"
    title = "two runs side by side: what moved, what is real of it"

    @classmethod
    def arguments(cls, parser: argparse.ArgumentParser) -> None:
        for name, text in (("base", "the run before"), ("new", "the run after (default: the newest)")):
            parser.add_argument(
                name, nargs="?", help=f"{text}: evidence.json, a folder, a run's id or start, REV or REV:PATH of git"
            )
        parser.add_argument("--any-machine", action="store_true", help="call changes also between different machines")
        parser.add_argument(
            "--fail-on",
            choices=["never", "regression", "change"],
            default="never",
            help="exit code 1 when a target is worse, lost its PASS or is gone; or when anything is other than before",
        )
        parser.add_argument("--json", action="store_true", help="for programs")
        parser.add_argument("--markdown", type=Path, metavar="FILE", help="also as Markdown, for a pull request")

    @classmethod
    def run(cls, chosen: argparse.Namespace) -> int:
        from harness.core.files import write_atomically
        from harness.evidence.history.compare import compare
        from harness.evidence.history.database import History
        from harness.evidence.history.runs import exists, find, last_two, latest
        from harness.reports.comparison import markdown, terminal
        from harness.reports.comparison_json import to_json

        root = chosen.kpis.resolve().parent
        history = History(folder_of_runs(chosen.kpis))
        given = [name for name in (chosen.base, chosen.new) if name is not None]
        needed = len(given) < 2 or not all(exists(Path(name)) for name in given)  # noqa: PLR2004 - two runs
        if needed and not history.path.exists() and (history.folder / "runs").exists():
            history.rebuild()
        if chosen.base is None:
            base, new = last_two(history)
        else:
            new = find(chosen.new, history, root) if chosen.new else latest(history)
            base = find(chosen.base, history, root, machine=min(new.machines))
        compared = compare(base, new, any_machine=chosen.any_machine)
        if chosen.markdown:
            with written(chosen.markdown):
                write_atomically(chosen.markdown, markdown(compared))
        if chosen.json:
            print(json.dumps(to_json(compared), indent=1))
        else:
            out = console()
            print(terminal(compared, min(100, out.width), colour=out.is_terminal), end="")
        problems = list(_problems(compared, chosen.fail_on))
        for problem in problems:
            print(f"{chosen.fail_on}: {plain(problem)}", file=sys.stderr)
        return 1 if problems else 0


def _problems(compared: Comparison, fail_on: str) -> Iterator[str]:
    """What makes the exit code 1: where nothing was compared, nothing was shown to hold either."""
    if fail_on == "never":
        return
    if not compared.compared:
        yield "no target was compared"
    for row in compared.rows:
        why = row.regressed if fail_on == "regression" else "other than before" if row.differs else ""
        if why:
            yield f"{row.kpi} {row.target.metric} {row.target.bound}: {why}"
