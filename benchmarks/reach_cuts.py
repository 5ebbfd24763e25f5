"""Cuts the connection to a machine that is reached a hundred times, at random moments, while runs are judged there.

A killed session, client or agent: no verdict may be wrong, every run must end, nothing may be left there.
Needs an OpenSSH server; the machine is the loopback with a home and a store of its own.

    python benchmarks/reach_cuts.py --cuts 100
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.support.board_project import TRUE_AND_FALSE, board_project, wrong
from tests.support.boards import serving
from tests.support.cutting import Cutter


def main() -> int:
    """Runs until so many cuts were made; returns 1 where something was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cuts", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--store", type=Path, help="a store to keep, so that the environment is made once")
    chosen = parser.parse_args()
    faults: list[str] = []
    verdicts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="kpi-cuts-") as name:
        folder, store = Path(name), chosen.store or Path(name) / "store"
        with serving(folder / "board", store / "there") as board:
            project = board_project(folder / "project", store, board, kpis=TRUE_AND_FALSE)
            done = project.cli("reach", "setup", "edge")
            if done.returncode:
                print(done.stderr)
                return 1
            cutter = Cutter(board, random.Random(chosen.seed), (0.2, 6.0), chosen.cuts)
            runs = 0
            while cutter.count < chosen.cuts:
                begin, runs = time.monotonic(), runs + 1
                with cutter.cutting():
                    ended = project.pytest(timeout=600)
                found = Counter(project.verdicts().values())
                verdicts += found
                if bad := wrong(project.evidence()):
                    faults.append(f"run {runs}: wrong: {', '.join(bad)}")
                if not board.nothing_left():
                    faults.append(f"run {runs}: left there: {[process.cmdline() for process in board.agents()]}")
                if project.recomputed().returncode:
                    faults.append(f"run {runs}: the evidence does not give the same verdicts")
                print(
                    f"run {runs}: {time.monotonic() - begin:.0f} s, exit {ended.returncode}, {cutter.count} cuts, "
                    f"{dict(found)}",
                    flush=True,
                )
    print(f"{cutter.count} cuts ({cutter.cuts}) in {runs} runs: {dict(verdicts)}; {len(faults)} faults")
    print(*faults, sep="\n")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
