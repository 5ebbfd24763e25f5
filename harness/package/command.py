"""``kpi package`` and ``kpi verify``."""

from __future__ import annotations

import argparse
from pathlib import Path

from harness.errors import KpiError
from harness.reports.text import plain
from harness.store import Store
from harness.units import BYTES


def add_package(parser: argparse.ArgumentParser) -> None:
    """The options of ``kpi package``."""
    parser.add_argument("kpi", help="a KPI that a run has proven")
    parser.add_argument("--evidence", type=Path, help="default: .kpi/latest/evidence.json beside the file of promises")
    parser.add_argument(
        "--out", type=Path, help="a folder, or a file that ends in .zip, .tar.gz or .tgz (default: a folder named KPI)"
    )
    parser.add_argument("--force", action="store_true", help="pack what is not proven, and write so on it")
    parser.add_argument(
        "--push", metavar="TARGET", help="also to a folder, oci://REGISTRY/REPOSITORY[:TAG], mlflow:NAME, azureml:NAME"
    )


def add_verify(parser: argparse.ArgumentParser) -> None:
    """The options of ``kpi verify``."""
    parser.add_argument("package", type=Path, help="a folder or an archive that kpi package made")
    parser.add_argument("--force", action="store_true", help="accept what was packed though it was not proven")


def package(chosen: argparse.Namespace) -> int:
    """Packs, and pushes where that was asked for."""
    from harness.package.contents import collect
    from harness.package.pushing import pusher
    from harness.package.writing import place, write

    evidence = chosen.evidence or chosen.kpis.resolve().parent / ".kpi" / "latest" / "evidence.json"
    if not evidence.exists():
        raise KpiError(f"{evidence} is not there", "run pytest first, or name the file with --evidence")
    push = pusher(chosen.push) if chosen.push else None
    contents = collect(chosen.kpi, evidence, Store(), force=chosen.force)
    out = place(chosen.out or Path(contents.name), contents)
    write(contents, out)
    if contents.forced:
        print(f"NOT PROVEN: {plain(contents.binding)}")
    size = BYTES.format(float(sum(contents.sizes.values())))
    print(f"{out}: {len(contents.files)} files, {size}, sha256 {contents.digest}")
    if push is not None:
        print(f"pushed to {push.send(contents, out)}")
    return 0


def verify(chosen: argparse.Namespace) -> int:
    """Says OK, or each difference in a line."""
    from harness.package.verifying import verify as check

    found = check(chosen.package)
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
