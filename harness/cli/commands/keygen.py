"""The command that makes a pair of keys."""

from __future__ import annotations

import argparse
from pathlib import Path

from harness.cli.commands.base import Command
from harness.core.text import plain


class Keygen(Command):
    """``kpi keygen``."""

    name = "keygen"
    title = "a pair of keys: the private one signs verdicts and packages, the public one checks them"

    @classmethod
    def arguments(cls, parser: argparse.ArgumentParser) -> None:
        said = "writes NAME.pem (private) and NAME.pub (default: kpi-key); KPI_KEY_PASSPHRASE encrypts the first"
        parser.add_argument("out", nargs="?", type=Path, default=Path("kpi-key"), metavar="NAME", help=said)

    @classmethod
    def run(cls, chosen: argparse.Namespace) -> int:
        from harness.evidence.attestation.keys import PASSPHRASE, make_keys

        private, public, keyid, locked = make_keys(chosen.out)
        kept = f"encrypted with {PASSPHRASE}" if locked else f"not encrypted: set {PASSPHRASE} to encrypt"
        print(f"{plain(private)}: private, {kept}; keep it to yourself, out of every repository")
        print(f"{plain(public)}: public, to hand out; key {keyid[:12]}")
        return 0
