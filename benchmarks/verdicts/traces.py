"""How often verdicts are wrong on recorded processes, the bound exactly on the median of the recording.

Usage: PYTHONPATH=. python benchmarks/verdicts/traces.py [--runs 2000]

Each recording of ``benchmarks/traces`` is hundreds of processes in a row. A run begins at a random place and takes the
processes that follow: one right after the other, or every 15th to 29th, as rounds of 15 subjects spread them (past the
end it goes on at the beginning). Prints a Markdown table, with the correlation of neighbours' ranks. Exit code 1 when
spread-out processes are wrong more than 3 % of the time by more than three standard errors of the simulation.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from runs import FALSE, error_of, first_decision, told

from harness.core.bounds import parse_bound
from harness.core.statistics import median, plan_looks
from harness.core.units import NUMBER
from harness.judge.verdict import Verdict
from harness.measure.sequence import correlation
from harness.spec.model import MeasureSettings

SETTINGS = MeasureSettings()
FOLDER = Path(__file__).resolve().parents[1] / "traces"
SUBJECTS = 15


def ends(trace: dict[str, Any], runs: int, *, spread: bool) -> Counter[Verdict]:
    """Verdicts of many runs over a recording, against its own median."""
    values, random = trace["medians_s"], np.random.default_rng(7)
    bound = parse_bound(f"< {median(values):.12f}", NUMBER)
    looks = plan_looks(SETTINGS.looks, SETTINGS.confidence, SETTINGS.drift)
    found: Counter[Verdict] = Counter()
    for _ in range(runs):
        places = np.arange(SETTINGS.looks[-1])
        if spread:
            half = (SUBJECTS + 1) // 2
            places = places * SUBJECTS + random.integers(0, half, len(places))
        places = (places + random.integers(len(values))) % len(values)
        spoilt = [trace["disturbed"][i] for i in places]
        verdict, _ = first_decision(bound, [values[i] for i in places], looks, SETTINGS.confidence, spoilt)
        found[verdict] += 1
    return found


def main(runs: int) -> int:
    """Prints the table, then what missed the goal."""
    print("| recording | processes | neighbours | back to back: false PASS / FAIL | spread out: false PASS / FAIL |")
    print("|---|--:|--:|--:|--:|")
    files = sorted(FOLDER.glob("*.json"))
    missed = [] if files else ["there is no recording: run benchmarks/traces/record.py"]
    for file in files:
        trace = json.loads(file.read_text(encoding="utf-8"))
        cells = []
        for spread in (False, True):
            found = ends(trace, runs, spread=spread)
            wrong = [found[verdict] / runs for verdict in (Verdict.PASS, Verdict.FAIL)]
            cells.append(f"{100 * wrong[0]:.1f} / {100 * wrong[1]:.1f} %")
            if spread and max(wrong) > FALSE + error_of(runs):
                missed.append(
                    f"{trace['recipe']}: {100 * max(wrong):.1f} % false verdicts of processes that are spread"
                )
        alike = correlation(trace["medians_s"])
        print(
            f"| {trace['recipe']}, {trace['machine']} | {len(trace['medians_s'])} | {alike:.2f} | {' | '.join(cells)} |"
        )
    return told(missed)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=2000)
    sys.exit(main(parser.parse_args().runs))
