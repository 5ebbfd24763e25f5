"""The command that examines the machine."""

from __future__ import annotations

import argparse

from harness.build.store import Store
from harness.cli.commands.base import Command, print_rows
from harness.spec.model import Spec
from harness.spec.reader import read_spec


class Doctor(Command):
    """``kpi doctor``."""

    name = "doctor"
    title = "what this machine has, and what each missing thing would enable"

    @classmethod
    def run(cls, chosen: argparse.Namespace) -> int:
        from harness.cli.doctor import examine

        spec: Spec | None = None
        if chosen.kpis.exists():
            spec = read_spec(chosen.kpis)
        print_rows(examine(spec, Store()))
        return 0
