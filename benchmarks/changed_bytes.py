"""Changes a signed package byte by byte, and counts how many changes are found with the public key.

Usage: python benchmarks/changed_bytes.py PACKAGE PUBLIC_KEY [--changes 1000] [--seed 0]
PACKAGE is a folder that `kpi package --key` made. Each change is one byte of one file, in a copy; all files get the
same share of the changes. Prints a line a file; exit code 1 where a change was not found.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from harness.core.errors import KpiError
from harness.evidence.attestation.keys import PublicKeys, read_public
from harness.evidence.package.verifying import verify


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 0 when every change was found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("package", type=Path)
    parser.add_argument("key", type=Path)
    parser.add_argument("--changes", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args(arguments)
    keys, chance = read_public(chosen.key), random.Random(chosen.seed)
    with tempfile.TemporaryDirectory() as aside:
        copy = Path(aside) / "package"
        shutil.copytree(chosen.package, copy)
        if not accepted(copy, keys):
            print(f"{chosen.package} is not accepted as it is")
            return 1
        files = sorted(path for path in copy.rglob("*") if path.is_file() and path.stat().st_size)
        missed = 0
        for place, file in enumerate(files):
            count = len(range(place, chosen.changes, len(files)))
            kept = file.read_bytes()
            found = 0
            for _ in range(count):
                at = chance.randrange(len(kept))
                other = kept[at] ^ chance.randrange(1, 256)
                file.write_bytes(kept[:at] + bytes([other]) + kept[at + 1 :])
                found += not accepted(copy, keys)
            file.write_bytes(kept)
            missed += count - found
            print(f"{file.relative_to(copy).as_posix()}: {found} of {count} changes found", flush=True)
    return 1 if missed else 0


def accepted(package: Path, keys: PublicKeys) -> bool:
    """Whether a package is found to be whole and signed with these keys."""
    try:
        found = verify(package, keys)
    except KpiError:
        return False
    return not found.differences and not found.unproven


if __name__ == "__main__":
    sys.exit(main())
