"""The command that prints the JSON Schema."""

from __future__ import annotations

import argparse
import json

from harness.cli.commands.base import Command


class Schema(Command):
    """``kpi schema``."""

    name = "schema"
    title = "the JSON Schema of kpis.toml, for editors"
    for_programs = True

    @classmethod
    def run(cls, chosen: argparse.Namespace) -> int:
        del chosen
        from harness.spec.schema import json_schema

        print(json.dumps(json_schema(), indent=2))
        return 0
