"""Runs the shipped suite several times and compares the verdicts: a suite that flips is of no use as a gate.

Usage: python benchmarks/repeat.py [--runs 10]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """Prints the seconds of each run, then every target whose verdict was not always the same; 1 if there is one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10)
    verdicts: dict[str, Counter[str]] = {}
    for number in range(parser.parse_args().runs):
        with tempfile.TemporaryDirectory() as out:
            start = time.perf_counter()
            command = [sys.executable, "-m", "pytest", "-q", f"--kpi-out={out}"]
            subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=False)
            evidence = json.loads((Path(out) / "evidence.json").read_text(encoding="utf-8"))
        print(f"run {number + 1}: {time.perf_counter() - start:.0f} s, {evidence['verdicts']}", flush=True)
        for target in evidence["targets"]:
            verdicts.setdefault(target["id"], Counter())[target["verdict"]] += 1
    flipped = {name: dict(count) for name, count in verdicts.items() if len(count) > 1}
    print(f"{len(verdicts)} targets, {len(flipped)} with more than one verdict: {flipped}")
    return 1 if flipped else 0


if __name__ == "__main__":
    sys.exit(main())
