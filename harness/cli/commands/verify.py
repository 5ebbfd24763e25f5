"""The command that checks a package, or a signed statement."""

from __future__ import annotations

import argparse
from pathlib import Path

from harness.cli.commands.base import KPIS, Command
from harness.core.errors import KpiError
from harness.core.text import plain


class Verify(Command):
    """``kpi verify``."""

    name = "verify"
    title = "whether a package is whole, its verdicts follow from its evidence, and who signed it"

    @classmethod
    def arguments(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "package", type=Path, help="a folder or an archive that kpi package made, or a statement of kpi attest"
        )
        parser.add_argument("--public-key", type=Path, metavar="KEY", help="it must be signed with this key")
        parser.add_argument("--force", action="store_true", help="accept what was packed though it was not proven")
        said = "of a statement: the evidence that it is about (default: evidence.json next to it)"
        parser.add_argument("--evidence", type=Path, help=said)
        parser.add_argument("--artifact", type=Path, help="of a statement: the folder with the files it is about")

    @classmethod
    def trusts(cls, chosen: argparse.Namespace) -> bool:
        """A package holds a kpis.toml, and may lie where this was called: what that names is somebody else's code."""
        return chosen.kpis is not KPIS

    @classmethod
    def run(cls, chosen: argparse.Namespace) -> int:
        from harness.evidence.attestation.keys import read_public
        from harness.evidence.package.signing import SUFFIX
        from harness.evidence.package.verifying import verify

        keys = read_public(chosen.public_key) if chosen.public_key else None
        if chosen.package.name.endswith(SUFFIX):
            return _statement(chosen)
        if chosen.evidence or chosen.artifact:
            raise KpiError("--evidence and --artifact are for a statement: a package holds its own", "leave them out")
        found = verify(chosen.package, keys)
        signer = f", signed with the key {keys.statement.keyid[:12]}" if keys else ""
        done = f"{plain(found.kpi)}, {found.files} files, sha256 {found.digest}{signer}"
        remedy = "it was packed with --force; kpi verify --force accepts it"
        code = _say(found.differences, found.unproven, done, remedy, force=chosen.force)
        if found.signed and not keys:
            print("it is signed, which was not checked: name the signer's key with --public-key")
        return code


def _statement(chosen: argparse.Namespace) -> int:
    from harness.evidence.attestation.keys import read_public
    from harness.evidence.package.signed import verify_statement

    if chosen.public_key is None:
        raise KpiError("a statement is checked with its signer's key", "name it with --public-key")
    keys = read_public(chosen.public_key)
    evidence = chosen.evidence or chosen.package.parent / "evidence.json"
    found = verify_statement(chosen.package, keys, evidence, chosen.artifact)
    looked = f"{'with' if chosen.artifact else 'without'} the artifact's files"
    done = f"{plain(found.kpi)}, statement and evidence, {looked}, signed with the key {keys.statement.keyid[:12]}"
    return _say(found.differences, found.unproven, done, "kpi verify --force accepts it", force=chosen.force)


def _say(differences: list[str], unproven: str, done: str, remedy: str, *, force: bool) -> int:
    for said in differences:
        print(plain(said))
    if unproven:
        print(f"NOT PROVEN: {plain(unproven)}")
    if differences:
        count = len(differences)
        print(f"not OK: {count} difference{'s' if count > 1 else ''}")
        return 1
    if unproven and not force:
        print(f"not OK: {remedy}")
        return 1
    print(f"OK: {done}")
    return 0
