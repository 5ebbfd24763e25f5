"""The command that packs what was proven."""

from __future__ import annotations

import argparse
from pathlib import Path

from harness.build.store import Store
from harness.cli.commands.base import Command, evidence_argument, folder_of_runs, read_asked
from harness.core.errors import KpiError
from harness.core.text import plain
from harness.core.units import BYTES


class Package(Command):
    """``kpi package``."""

    name = "package"
    title = "a proven KPI's artifact with its evidence, a model card and digests, as a folder or an archive"

    @classmethod
    def arguments(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("kpi", help="a KPI that a run has proven")
        evidence_argument(parser)
        parser.add_argument(
            "--out",
            type=Path,
            help="a folder, or a file that ends in .zip, .tar.gz or .tgz (default: a folder named KPI)",
        )
        parser.add_argument("--force", action="store_true", help="pack what is not proven, and write so on it")
        parser.add_argument("--key", type=Path, help="a private key of kpi keygen: sign statement and package with it")
        parser.add_argument(
            "--push",
            metavar="TARGET",
            help="also to a folder, oci://REGISTRY/REPOSITORY[:TAG], mlflow:NAME, azureml:NAME",
        )

    @classmethod
    def run(cls, chosen: argparse.Namespace) -> int:
        from harness.evidence.attestation.keys import read_private
        from harness.evidence.history.database import History
        from harness.evidence.package.contents import NotProven, collect
        from harness.evidence.package.earlier import earlier_run
        from harness.evidence.package.pushing import pusher
        from harness.evidence.package.signing import attestation, sign_package
        from harness.evidence.package.writing import check_place, place, write

        file, _, _ = read_asked(chosen)
        keys = read_private(chosen.key) if chosen.key else None
        attest = attestation(keys, chosen.kpis) if keys else None
        push = pusher(chosen.push) if chosen.push else None
        try:
            contents = collect(chosen.kpi, file, Store(), force=chosen.force, attest=attest)
        except NotProven as error:
            remedy = "" if chosen.evidence else earlier_run(chosen.kpi, file, History(folder_of_runs(chosen.kpis)))
            raise KpiError(error.message, "; or ".join(filter(None, (remedy, error.remedy)))) from error
        out = place(chosen.out or Path(contents.name), contents)
        check_place(out)
        if keys:
            contents = sign_package(contents, keys, out)
        write(contents, out)
        if contents.forced:
            print(f"NOT PROVEN: {plain(contents.binding)}")
        size = BYTES.format(float(sum(contents.sizes.values())))
        print(f"{plain(out)}: {len(contents.files)} files, {size}, sha256 {contents.digest}")
        if push is not None:
            print(f"pushed to {plain(push.send(contents, out))}")
        return 0
