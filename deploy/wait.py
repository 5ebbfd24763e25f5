"""Waits until every evidence.json named is complete; fails, and says which is not, when the time is up."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 0 when all runs came to their end, 1 when one did not in time."""
    parser = argparse.ArgumentParser(prog="wait.py", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, metavar="EVIDENCE")
    parser.add_argument("--seconds", type=float, required=True, help="how long to wait at most")
    parser.add_argument("--every", type=float, default=10.0, help="seconds between two looks (default: 10)")
    chosen = parser.parse_args(arguments)
    end = time.monotonic() + chosen.seconds
    missing: list[Path] = list(dict.fromkeys(chosen.files))
    while True:
        for path in [p for p in missing if complete(p)]:
            missing.remove(path)
            print(f"complete: {path}", flush=True)
        left = end - time.monotonic()
        if not missing:
            return 0
        if left <= 0:
            for path in missing:
                print(f"not complete after {chosen.seconds:.0f} s: {path}", file=sys.stderr)
            return 1
        time.sleep(min(chosen.every, left))


def complete(path: Path) -> bool:
    """Whether a run left its evidence here and came to its end; what can't be read yet is not complete."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(data, dict) and data.get("complete") is True


if __name__ == "__main__":
    sys.exit(main())
