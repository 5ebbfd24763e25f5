"""Verdicts on a machine that something else loads at random: no false FAIL, no false PASS.

Usage: PYTHONPATH=. python benchmarks/verdicts/loaded.py [--runs 50]

Finds the median latency of the INT8 food classifier on the quiet machine, then writes two promises: one whose bound the
quiet median keeps by 10 %, one that it misses by 10 %. Another process then loads every core, on and off at random,
while the suite judges both promises again and again. Exit code 1 when a verdict was wrong.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from harness.build.store import Store
from harness.core.statistics import median
from harness.gate import Gate
from harness.judge.metrics.latency import LatencyP50
from harness.measure.machine.detect import detect
from harness.spec.reader import read_spec

ROOT = Path(__file__).resolve().parents[2]
PROMISES = """
[measure]
seconds = "0.3 s"
budget = "15 s"

[machine.any-cpu]
device = "cpu"

[workload.food11]
task = "image-classification"
fixture = "fixtures.food11"

[workload.food11.recipe.int8-openvino]
runtime = { name = "openvino", precision = "f32" }
passes = ["onnx", "openvino", { pass = "nncf", calibration = 128 }]
"""
KPI = """
[[kpi]]
name = "{name}"
workload = "food11"
recipe = "int8-openvino"
machine = "any-cpu"
targets = {{ "latency.p50" = "< {bound:.9f} s" }}
"""


def write(project: Path, inside: float, outside: float) -> Path:
    """The file of promises with two bounds in seconds."""
    file = project / "kpis.toml"
    kpis = [KPI.format(name=name, bound=bound) for name, bound in (("inside", inside), ("outside", outside))]
    file.write_text(PROMISES + "".join(kpis), encoding="utf-8")
    return file


def quiet_median(project: Path, processes: int) -> float:
    """Seconds: the median over fresh processes of each one's own median."""
    spec = read_spec(write(project, 1, 1))
    (project / "quiet").mkdir()
    gate = Gate(spec, detect(), Store(), project / "quiet", lambda _: None)
    target = spec.targets[0]
    recipe = spec.recipes_of(target)[0]
    subject = gate.subject(target, recipe, gate.builder.artifact(recipe))
    return median([LatencyP50.of(record) for record in gate.campaign.extend(subject, processes)])


def load(seed: int) -> None:
    """Keeps one core busy, then idle, for random times."""
    chance = random.Random(seed)
    while True:
        end = time.monotonic() + chance.uniform(0.05, 3)
        while time.monotonic() < end:
            sum(range(10_000))
        time.sleep(chance.uniform(0.05, 3))


def judge(project: Path) -> dict[str, Any]:
    """The evidence of one run of the suite."""
    command = [sys.executable, "-m", "pytest", "-q", "--pyargs", "kpi_tests", "-p", "harness.pytest_plugin"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(command, cwd=project, env=environment, stdout=subprocess.DEVNULL, check=False)
    found: dict[str, Any] = json.loads((project / ".kpi/latest/evidence.json").read_text(encoding="utf-8"))
    return found


def main() -> int:
    """Prints the verdicts of every run, then their counts; 1 when one of them was wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=50)
    chosen = parser.parse_args()
    verdicts: dict[str, Counter[str]] = {"inside": Counter(), "outside": Counter()}
    with tempfile.TemporaryDirectory() as name:
        project = Path(name)
        shutil.copytree(ROOT / "fixtures", project / "fixtures")
        (project / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
        middle = quiet_median(project, 16)
        write(project, middle / 0.9, middle / 1.1)
        print(f"quiet median {1e3 * middle:.3f} ms; bounds {1e3 * middle / 0.9:.3f} and {1e3 * middle / 1.1:.3f} ms")
        loads = [multiprocessing.Process(target=load, args=(n,), daemon=True) for n in range(os.cpu_count() or 1)]
        for process in loads:
            process.start()
        for number in range(chosen.runs):
            evidence = judge(project)
            for target in evidence["targets"]:
                verdicts[target["kpi"]][target["verdict"]] += 1
            processes = evidence["measurements"][0]["processes"]
            disturbed = sum(bool(process["disturbed"]) for process in processes)
            said = ", ".join(f"{t['kpi']} {t['verdict']}" for t in evidence["targets"])
            print(f"run {number + 1}: {said}; {disturbed} of {len(processes)} processes disturbed", flush=True)
        for process in loads:
            process.terminate()
    print({name: dict(count) for name, count in verdicts.items()})
    wrong = verdicts["inside"]["FAIL"] + verdicts["outside"]["PASS"]
    wrong += sum(count["ERROR"] for count in verdicts.values())
    print(f"{wrong} wrong of {2 * chosen.runs}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
