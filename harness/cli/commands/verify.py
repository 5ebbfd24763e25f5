"""The command that checks a package."""

from __future__ import annotations

import argparse
from pathlib import Path

from harness.cli.commands.base import Command
from harness.core.text import plain


class Verify(Command):
    """``kpi verify``."""

    name = "verify"
    title = "whether a package is whole, and its verdicts follow from its evidence"

    @classmethod
    def arguments(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("package", type=Path, help="a folder or an archive that kpi package made")
        parser.add_argument("--force", action="store_true", help="accept what was packed though it was not proven")

    @classmethod
    def run(cls, chosen: argparse.Namespace) -> int:
        from harness.evidence.package.verifying import verify

        found = verify(chosen.package)
        for said in found.differences:
            print(said)
        if found.unproven:
            print(f"NOT PROVEN: {found.unproven}")
        if found.differences:
            print(f"not OK: {len(found.differences)} differences")
            return 1
        if found.unproven and not chosen.force:
            print("not OK: it was packed with --force; kpi verify --force accepts it")
            return 1
        print(f"OK: {plain(found.kpi)}, {found.files} files, sha256 {found.digest}")
        return 0
