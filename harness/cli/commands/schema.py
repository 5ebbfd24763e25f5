"""The command that prints the JSON Schema."""

from __future__ import annotations

import argparse
import json

from harness.cli.commands.base import Command


class Schema(Command):
    """``kpi schema``."""

    name = "schema"
    title = "the JSON Schema of kpis.toml, for editors; with --evidence that of a run's evidence"
    for_programs = True

    @classmethod
    def arguments(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--evidence", action="store_true", help="of evidence.json, in place of kpis.toml")

    @classmethod
    def run(cls, chosen: argparse.Namespace) -> int:
        from harness.core.codec import json_schema as schema_of
        from harness.evidence.model import Evidence
        from harness.spec.schema import json_schema

        print(json.dumps(schema_of(Evidence) if chosen.evidence else json_schema(), indent=2))
        return 0
