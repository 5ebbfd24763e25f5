"""The whole study of error rates; every cell is held against its goal.

Processes, scores, figures of the whole set, attempts, tails, recordings.

Usage: PYTHONPATH=. python benchmarks/verdicts/study.py [--runs 4000]

Prints the tables of docs/verdicts.md. The exit code is 1 when any cell misses its goal.
"""

from __future__ import annotations

import argparse
import sys

import processes
import reruns
import scores
import set_figures
import tails
import traces


def main() -> int:
    """Runs the studies one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=4000)
    runs = parser.parse_args().runs
    missed = 0
    for study in (processes.main, scores.main, set_figures.main, reruns.main, tails.main, traces.main):
        missed |= study(runs)
        print()
    return missed


if __name__ == "__main__":
    sys.exit(main())
