"""The command that signs what a run found."""

from __future__ import annotations

import argparse
from pathlib import Path

from harness.build.store import Store
from harness.cli.commands.base import Command, written
from harness.core.errors import KpiError, SpecError, suggest
from harness.core.text import plain


class Attest(Command):
    """``kpi attest``."""

    name = "attest"
    title = "a signed statement (in-toto) for each KPI of a run: its files, its verdicts, what these rest on"

    @classmethod
    def arguments(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("evidence", type=Path, metavar="EVIDENCE", help="evidence.json of a run, or of kpi merge")
        parser.add_argument("--key", type=Path, required=True, help="the private key, as kpi keygen writes it")
        parser.add_argument("--kpi", action="append", metavar="KPI", help="of this KPI alone; may be given again")
        parser.add_argument("--out", type=Path, help="a folder for the statements (default: that of the evidence)")

    @classmethod
    def run(cls, chosen: argparse.Namespace) -> int:
        from harness.core.file_names import file_name
        from harness.core.files import write_chunks_atomically
        from harness.evidence.attestation.keys import read_private
        from harness.evidence.package.contents import gather, read_whole
        from harness.evidence.package.signing import SUFFIX, signed_statement

        keys = read_private(chosen.key)
        raw, evidence = read_whole(chosen.evidence)
        known = {target.kpi for target in evidence.targets}
        if wrong := [name for name in chosen.kpi or () if name not in known]:
            raise SpecError([suggest(name, known, "KPI") for name in wrong])
        out = chosen.out or chosen.evidence.parent
        store, left = Store(), 0
        for name in chosen.kpi or [kpi.name for kpi in evidence.kpis if kpi.name in known]:
            try:
                gathered = gather(name, raw, evidence, store, force=True)
            except KpiError as error:
                left += 1
                print(f"{plain(name)}: no statement: {plain(error)}")
                continue
            file = out / f"{file_name(name)}{SUFFIX}"
            with written(file, "name another folder with --out"):
                out.mkdir(parents=True, exist_ok=True)
                write_chunks_atomically(file, [signed_statement(gathered, keys)])
            print(f"{plain(file)}: {'NOT PROVEN: ' + plain(gathered.binding) if gathered.binding else 'proven'}")
        return 1 if left else 0
