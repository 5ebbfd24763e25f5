"""The command that joins machines."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from rich.text import Text

from harness.cli.commands.base import Command, console, written
from harness.core.text import plain
from harness.evidence.seal import KEY_VARIABLE
from harness.reports.annotations import FORMS, annotate, write_gitlab


class Merge(Command):
    """``kpi merge``."""

    name = "merge"
    title = "the evidence of several machines as one ledger; green only when all was proven"

    @classmethod
    def arguments(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("files", nargs="+", type=Path, metavar="EVIDENCE", help="evidence.json of a run")
        parser.add_argument(
            "--out", type=Path, help="a folder for the merged evidence.json, summary.md, report.html and badge"
        )
        parser.add_argument("--junit-xml", "--junitxml", type=Path, metavar="FILE", help="the ledger as JUnit's XML")
        parser.add_argument("--annotations", choices=FORMS, default="off", help="remarks at the lines of the promises")

    @classmethod
    def run(cls, chosen: argparse.Namespace) -> int:
        from harness.core.files import write_atomically
        from harness.evidence.composing import write_evidence
        from harness.evidence.merge import merge
        from harness.evidence.reader import read_evidence
        from harness.reports.badge import write_badge
        from harness.reports.html import write as write_report
        from harness.reports.junit import render as junit
        from harness.reports.markdown import render as markdown
        from harness.reports.terminal import render

        key = os.environ.get(KEY_VARIABLE)
        merged = merge({str(path): read_evidence(path, key) for path in chosen.files})
        out = console()
        print(render(merged.evidence, min(100, out.width), colour=out.is_terminal), end="")
        for problem in merged.problems:
            out.print(Text(f"not green: {plain(problem)}", style="bold red"))
        if chosen.annotations != "off":
            chosen.remarks = annotate(merged.evidence, chosen.kpis)
        if chosen.out:
            with written(chosen.out, "name a folder with --out"):
                chosen.out.mkdir(parents=True, exist_ok=True)
                evidence = write_evidence(chosen.out / "evidence.json", merged.evidence, key)
                write_atomically(chosen.out / "summary.md", markdown(evidence))
                write_badge(evidence, chosen.out)
                if unwritten := write_report(chosen.out / "report.html", evidence):
                    print(unwritten, file=sys.stderr)
        if chosen.junit_xml:
            with written(chosen.junit_xml, "name another file"):
                chosen.junit_xml.parent.mkdir(parents=True, exist_ok=True)
                write_atomically(chosen.junit_xml, junit(merged.evidence, merged.problems))
        if chosen.annotations == "gitlab":
            with written(chosen.out or Path(), "name a folder with --out"):
                write_gitlab(chosen.remarks, chosen.out or Path())
        print("green: every promised target was proven" if merged.proven else "not green")
        return 0 if merged.proven else 1
