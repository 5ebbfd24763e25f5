"""The ``kpi`` command: finds the command that was asked for, says what went wrong in one line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from harness.cli.commands import commands
from harness.cli.commands.base import KPIS
from harness.core.errors import KpiError, SpecError
from harness.reports.annotations import Guard, on_github, print_github
from harness.spec.sources import use_plugins

USAGE = 4
"""The exit code for a mistake in the call or in ``kpis.toml``: pytest's own."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns 0, 1 when something was found wrong, 4 for a mistake of the user's."""
    parser = _parser()
    chosen, rest = parser.parse_known_args(arguments)
    if rest and not getattr(chosen, "passes_on", False):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    chosen.rest = rest
    # What is meant for a program is not read as commands by anybody, and must not be mixed with any.
    plain_text = not (chosen.for_programs or getattr(chosen, "json", False))
    guard = Guard(sys.stdout) if on_github() and plain_text else None
    try:
        if chosen.trusts(chosen):
            use_plugins(chosen.kpis)
        code: int = chosen.run(chosen)
    except SpecError as error:
        for problem in error.problems:
            print(f"error: {problem}", file=sys.stderr)
        return USAGE
    except KpiError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 2
    except BrokenPipeError:
        # The reader (head, less) has seen enough.
        sys.stderr.close()
        guard = None
        return 0
    finally:
        if guard is not None:
            guard.lift()
    if getattr(chosen, "annotations", "") == "github":
        print_github(chosen.remarks, sys.stdout)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kpi", description="Looks at promises, machine, environments, evidence and the store of artifacts."
    )
    parser.add_argument("--kpis", type=Path, default=KPIS, help="the file of promises")
    added = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, command in sorted(commands().items()):
        own = added.add_parser(name, help=command.title, description=command.title)
        own.set_defaults(run=command.run, trusts=command.trusts, for_programs=command.for_programs)
        # Also behind the command's name, where pytest's users expect it; SUPPRESS keeps what comes before it.
        own.add_argument("--kpis", type=Path, default=argparse.SUPPRESS, help="the file of promises")
        command.arguments(own)
    return parser


if __name__ == "__main__":
    sys.exit(main())
