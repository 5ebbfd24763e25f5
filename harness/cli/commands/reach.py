"""The command for machines that are reached: makes their environment, says what they have."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from harness.build.store import Store
from harness.cli.commands.base import Command, print_rows
from harness.core.errors import KpiError, SpecError, suggest
from harness.spec.model import Machine, Spec
from harness.spec.reaching import reached_by
from harness.spec.reader import read_spec


class ReachCommand(Command):
    """``kpi reach``."""

    name = "reach"
    title = "a machine that is measured from here: what it has, and the environments it needs"

    @classmethod
    def arguments(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("action", choices=["setup", "doctor"], help="make its environments; say what it has")
        parser.add_argument("machine", help="its name in kpis.toml, or MACHINE=ssh:user@host")
        parser.add_argument(
            "--python",
            type=Path,
            metavar="SYSTEM.tar",
            help="setup of a machine without Python: a Linux system for its processor, whose Python it is brought",
        )

    @classmethod
    def run(cls, chosen: argparse.Namespace) -> int:
        if chosen.python is not None and chosen.action != "setup":
            raise KpiError("--python goes with setup", f"kpi reach setup {chosen.machine} --python {chosen.python}")
        spec = read_spec(chosen.kpis)
        wanted = _wanted(spec, chosen.machine)
        store = Store()
        with tempfile.TemporaryDirectory(prefix="kpi-reach-") as folder:
            errors = Path(folder) / "log"
            if chosen.action == "setup":
                from harness.measure.reach.setting_up import set_up

                failed = 0
                for name, found in set_up(wanted, spec, store.root, errors, _say, chosen.python):
                    if isinstance(found, KpiError):
                        failed = 1
                        print(f"{name}: {found}", file=sys.stderr)
                    else:
                        print(f"{found}  {name}".rstrip())
                return failed
            from harness.cli.reached import examine

            print_rows(examine(wanted, spec, store, errors))
        return 0


def _wanted(spec: Spec, text: str) -> Machine:
    """The machine that is meant, with a way to it."""
    name, equals, _ = text.partition("=")
    if equals:
        spec = reached_by(spec, [text])
    elif name not in spec.machines:
        raise SpecError([suggest(name, spec.machines, "machine")])
    wanted = spec.machines[name]
    if wanted.reach is None:
        raise KpiError(
            f"machine {name} is not reached: its table has no `reach`",
            f'set reach = "ssh:user@host" in [machine.{name}], or call kpi reach with {name}=ssh:user@host',
        )
    return wanted


def _say(text: str) -> None:
    print(f"{text} ...", file=sys.stderr)
