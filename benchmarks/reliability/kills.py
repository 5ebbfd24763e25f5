"""SIGKILL at random moments of build and measurement: nothing damaged, no wrong verdict, the next run finishes.

Usage: PYTHONPATH=. python benchmarks/reliability/kills.py [--kills 100] [--seed 1]

Works on the README's example, with a store of its own from which artifacts are taken away at random, so that many kills
meet a build. The run after each kill must end with every verdict PASS; every second one resumes.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil

from harness.evidence.composing import composed
from harness.evidence.reader import read_evidence
from harness.measure.journal import read_journals
from tests.support.project import Project, make_project


def kill_after(project: Project, seconds: float) -> str:
    """Starts the suite, kills it; says what it was doing."""
    with subprocess.Popen(
        project.command("-q"), cwd=project.folder, env=project.variables, stdout=subprocess.DEVNULL
    ) as process:
        time.sleep(seconds)
        try:
            children = psutil.Process(process.pid).children()
            running = " ".join(argument for child in children for argument in child.cmdline())
            os.kill(process.pid, signal.SIGKILL)
        except (psutil.NoSuchProcess, psutil.ZombieProcess, ProcessLookupError):
            return "too late"
    if "harness.build.passes" in running:
        return "while building"
    return "while measuring" if "harness.measure" in running else "between workers"


def wrong(project: Project) -> Iterator[str]:
    """What the kill has spoilt."""
    verify = subprocess.run(
        [sys.executable, "-P", "-m", "harness.cli.main", "cache", "verify"],
        cwd=project.folder,
        env=project.variables,
        capture_output=True,
        text=True,
        check=False,
    )
    if verify.returncode:
        yield f"damaged: {verify.stdout}{verify.stderr}"
    for run in (project.folder / ".kpi/runs").glob("*"):
        if (run / "evidence.json").exists():
            evidence, broken = read_evidence(run / "evidence.json", None)
        elif read_journals(run).run:
            evidence, broken = composed(run, None), ""
        else:
            continue  # killed before its first verdict
        seen = {target.verdict.value for target in evidence.targets}
        if broken or len(evidence.targets) != 5 or not seen <= {"PASS", "INCONCLUSIVE"}:
            yield f"evidence of the killed run says {seen} {broken}"


def rerun(project: Project, *arguments: str) -> Iterator[str]:
    """What is wrong with the run after the kill."""
    done = project.pytest("-q", *arguments)
    verdicts = Counter(project.verdicts().values())
    if done.returncode or verdicts != {"PASS": 5}:
        yield f"the next run ended with {done.returncode}, {dict(verdicts)}: {done.stdout[-2000:]}"


def main() -> int:
    """Prints every problem, then when the kills struck; 1 when there was a problem."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    chance = random.Random(chosen.seed)
    struck: Counter[str] = Counter()
    problems: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        store = home / "store"
        first = make_project(home / "first", store)
        start = time.monotonic()
        problems += rerun(first)
        whole = time.monotonic() - start
        for number in range(chosen.kills):
            for built in sorted((store / "objects").iterdir()):
                if chance.random() < 0.5:
                    shutil.rmtree(built)
            project = make_project(home / str(number), store)
            struck[kill_after(project, chance.uniform(0.2, whole))] += 1
            found = [*wrong(project), *rerun(project, *(["--kpi-resume"] if number % 2 else []))]
            found += wrong(project)
            for problem in found:
                print(f"kill {number + 1}: {problem}", flush=True)
            problems += found
            shutil.rmtree(project.folder)
    print(f"{sum(struck.values())} kills: {dict(struck)}; {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
