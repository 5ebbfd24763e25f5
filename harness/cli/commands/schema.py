"""The command that prints the JSON Schema."""

from __future__ import annotations

import argparse
import json

from harness.cli.commands.base import Command


class Schema(Command):
    """``kpi schema``."""

    name = "schema"
    title = "the JSON Schema of kpis.toml, for editors, of a run's evidence, or of what is attested"
    for_programs = True

    @classmethod
    def arguments(cls, parser: argparse.ArgumentParser) -> None:
        group = parser.add_mutually_exclusive_group()
        group.add_argument("--evidence", action="store_true", help="of evidence.json, in place of kpis.toml")
        group.add_argument("--attestation", action="store_true", help="of the predicate of a statement")

    @classmethod
    def run(cls, chosen: argparse.Namespace) -> int:
        from harness.core.codec import json_schema as schema_of
        from harness.evidence.attestation.statement import Predicate
        from harness.evidence.model import Evidence
        from harness.spec.schema import json_schema

        wanted = Evidence if chosen.evidence else Predicate if chosen.attestation else None
        print(json.dumps(schema_of(wanted) if wanted else json_schema(), indent=2))
        return 0
