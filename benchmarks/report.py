"""How long report.html takes: to make, of a run with a history of a hundred others, and to open in a browser.

``python benchmarks/report.py .kpi/latest/evidence.json --runs 100``
"""

from __future__ import annotations

import argparse
import math
import os
import shutil
import tempfile
import time
from pathlib import Path

from harness.evidence.history.points import Point
from harness.evidence.model import Evidence
from harness.evidence.reader import read_evidence
from harness.judge.verdict import Verdict
from harness.reports.html import render
from harness.reports.html.vega import javascript


def history(evidence: Evidence, runs: int) -> list[Point]:
    """Every promised target answered by every run, within a tenth of what this one found."""
    return [
        Point(
            run=f"run{run}", started=f"2026-{1 + run // 28 % 12:02}-{1 + run % 28:02}T00:00:00+00:00", commit="",
            machine=f"m{run % 2}", machine_name=f"machine {run % 2}", complete=True, kpi=t.kpi,
            workload=t.workload, recipe=t.recipe, device=t.device, metric=t.metric, bound=t.bound,
            relation=t.relation, versus=t.versus, value=value, low=0.95 * value, high=1.05 * value,
            unit=t.unit, n=6, of="processes", verdict=Verdict.PASS, reason="", artifact="",
        )
        for run in range(runs)
        for t in evidence.targets
        for value in [float((t.known and t.value) or 1.0) * (1 + 0.1 * math.sin(run))]
    ]  # fmt: skip


def opened(page: str) -> str:
    """Seconds until a browser has loaded the page and drawn what its window shows."""
    program = shutil.which("chromium")
    if program is None:
        return "no Chromium here"
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as running:
        file = Path(scratch) / "report.html"
        file.write_text(page, encoding="utf-8")
        root = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = running.chromium.launch(executable_path=program, args=root)
        seconds = []
        for _ in range(5):
            window = browser.new_page(viewport={"width": 1280, "height": 900})
            begun = time.perf_counter()
            window.goto(file.as_uri())
            window.evaluate("new Bound((done) => requestAnimationFrame(() => setTimeout(done)))")
            seconds.append(time.perf_counter() - begun)
            window.close()
        browser.close()
    return f"{sorted(seconds)[2]:.2f} s (median of 5)"


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("evidence", type=Path)
    parser.add_argument("--runs", type=int, default=100)
    chosen = parser.parse_args()
    evidence, _ = read_evidence(chosen.evidence, None)
    begun = time.perf_counter()
    javascript()
    print(f"the library's script: {time.perf_counter() - begun:.2f} s (from the store but for the first time)")
    for name, rows in (("without history", []), (f"{chosen.runs} runs", history(evidence, chosen.runs))):
        begun = time.perf_counter()
        page = render(evidence, rows)
        seconds = time.perf_counter() - begun
        print(f"{name}: made in {seconds:.2f} s, {len(page.encode()) / 1e6:.2f} MB, opened in {opened(page)}")


if __name__ == "__main__":
    main()
