"""The command that looks after the store."""

from __future__ import annotations

import argparse

from harness.build.artifact import read_artifact
from harness.build.store import Store, folder_size
from harness.cli.commands.base import Command
from harness.core.errors import KpiError
from harness.core.units import BYTES


class Cache(Command):
    """``kpi cache``."""

    name = "cache"
    title = "the store of artifacts"

    @classmethod
    def arguments(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("action", choices=["list", "verify", "prune"])
        parser.add_argument("--limit", default="20 GB", help='prune to this size (default: "20 GB")')

    @classmethod
    def run(cls, chosen: argparse.Namespace) -> int:
        store = Store()
        if chosen.action == "verify":
            damaged = store.verify()
            for error in damaged:
                print(f"removed: {error}")
            print(f"{len(list(store.artifacts()))} artifacts are whole, {len(damaged)} were damaged")
            return 1 if damaged else 0
        if chosen.action == "prune":
            try:
                limit = int(BYTES.parse(chosen.limit))
            except ValueError as error:
                raise KpiError(f"--limit: {error}") from None
            count, freed = store.prune(limit)
            print(f"removed {count} entries, {BYTES.format(freed)}")
            return 0
        for path in store.artifacts():
            artifact = read_artifact(path)
            step = artifact.notes.get("step", {})
            what = f"{artifact.notes.get('workload', '')} {step.get('pass', artifact.format)}".strip()
            print(f"{path.name[:16]}  {BYTES.format(artifact.size):>10}  {what}")
        for folder in sorted((store.root / "data").iterdir()):
            print(f"{'data':16}  {BYTES.format(folder_size(folder)):>10}  {folder.name}")
        print(f"{BYTES.format(folder_size(store.root))} in {store.root}")
        return 0
