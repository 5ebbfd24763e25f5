"""Runs the studies of ``benchmarks/verdicts`` as somebody would, with less to simulate."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def run_study(name: str, code: str, runs: int) -> subprocess.CompletedProcess[str]:
    """The study in a process of its own, after ``code``."""
    study = ROOT / "benchmarks" / "verdicts" / name
    start = f"import runpy, sys\nsys.path[:0] = [{str(ROOT)!r}, {str(study.parent)!r}]\n"
    return subprocess.run(
        [sys.executable, "-c", f"{start}{code}\nrunpy.run_path({str(study)!r}, run_name='__main__')", f"--runs={runs}"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        timeout=300,
        check=False,
    )
