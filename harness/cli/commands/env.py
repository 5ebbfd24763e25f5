"""The command that makes environments."""

from __future__ import annotations

import argparse
import sys

from harness.build.environments import Environments
from harness.build.store import Store
from harness.cli.commands.base import Command
from harness.core.errors import KpiError


class Env(Command):
    """``kpi env``."""

    name = "env"
    title = "environments that recipes name"

    @classmethod
    def arguments(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("action", choices=["list", "create"])
        parser.add_argument("name", nargs="?", help="which one to create")

    @classmethod
    def run(cls, chosen: argparse.Namespace) -> int:
        environments = Environments(Store(), chosen.kpis.resolve().parent)
        if chosen.action == "create":
            if not chosen.name:
                raise KpiError("which environment?", f"kpi env create {'|'.join(sorted(environments.names()))}")
            path = environments.create(chosen.name, lambda text: print(f"{text} ...", file=sys.stderr))
            print(path)
            return 0
        for name, file in sorted(environments.names().items()):
            state = "installed" if environments.exists(name) else f"missing; kpi env create {name}"
            print(f"{name:32} {state}  ({file.name})")
        return 0
