"""Times what a long history costs: runs entered, compared, shown.

Usage: PYTHONPATH=. python benchmarks/history.py [--runs 100] [--kpis 40]

Writes evidence of so many runs (each with its own raw samples, made with seeds), enters them, then calls the commands.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from harness.evidence.history.database import History
from tests.support.made_runs import Made, evidence, keep, latencies

ROOT = Path(__file__).resolve().parent.parent


def write_runs(folder: Path, runs: int, kpis: int) -> float:
    """Makes the runs; returns the size of one run's evidence in bytes."""
    random = np.random.default_rng(1)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    size = 0
    for run in range(runs):
        made = [
            Made(
                f"kpi-{number}",
                latencies(0.001 * (1 + number / 10), 16, 1000 * run + number),
                1e6 + 1000 * (run // 10),
                (random.random(2000) < 0.9).astype(float).tolist(),
                recipe=f"recipe-{number}",
                artifact=f"{run:032x}{number:032x}",
                samples=200,
            )
            for number in range(kpis)
        ]
        when = (start + timedelta(hours=run)).isoformat(timespec="milliseconds")
        size += keep(folder, evidence(made, when)).stat().st_size
    return size / runs


def main() -> int:
    """Prints the times."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--kpis", type=int, default=40)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        project = Path(scratch)
        size = write_runs(project / ".kpi", chosen.runs, chosen.kpis)
        start, spent = time.perf_counter(), time.process_time()
        count, _ = History(project / ".kpi").rebuild()
        print(f"{count} runs of {chosen.kpis} KPIs, {size / 1e6:.1f} MB of evidence each")
        took = f"{time.perf_counter() - start:.2f} s, {time.process_time() - spent:.2f} s of a processor"
        print(f"kpi history --rebuild: {took}")
        print(f"history.sqlite: {History(project / '.kpi').path.stat().st_size / 1e6:.1f} MB")
        for arguments in (["compare"], ["history", "kpi-7"], ["history"]):
            seconds, busy = [], []
            for _ in range(3):
                start, spent = time.perf_counter(), sum(os.times()[2:4])
                command = [sys.executable, "-m", "harness.cli.main", *arguments]
                variables = {**os.environ, "PYTHONPATH": str(ROOT)}
                subprocess.run(command, cwd=project, env=variables, check=True, stdout=subprocess.DEVNULL)
                seconds.append(time.perf_counter() - start)
                busy.append(sum(os.times()[2:4]) - spent)
            said = f"{statistics.median(seconds):.2f} s, {statistics.median(busy):.2f} s of a processor"
            print(f"kpi {' '.join(arguments)}: {said}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
