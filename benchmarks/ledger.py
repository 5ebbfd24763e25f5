"""Times what keeping verdicts costs in a run that is very large: each verdict, the final file, the commands on it.

Usage: PYTHONPATH=. python benchmarks/ledger.py [--targets 15000] [--processes 50000] [--samples 200]

Writes a kpis.toml of so many targets, records so many made-up processes and a verdict of each target as a run does,
then makes evidence.json and calls the commands that read it. Nothing is built or measured; every file is real.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from harness.core.statistics import looks_for
from harness.evidence.ledger import Ledger
from harness.evidence.model import TargetResult
from harness.judge.metrics.base import ProcessMetric
from harness.judge.verdict import judge_processes
from harness.measure.journal import Journal
from harness.measure.records import Measurement, ProcessRecord, Proof
from harness.reports.recorder import Recorder
from harness.spec.model import Spec, Target
from harness.spec.reader import read_spec

ROOT = Path(__file__).resolve().parent.parent
LOOK, TARGETS = 8, 3
"""Processes of a measurement, targets of a KPI."""
BOUNDS = {"latency.p50": "< 10 ms", "latency.p95": "< 20 ms", "throughput.single": "> 50 samples/s"}


def write_kpis(file: Path, kpis: int) -> None:
    """A workload with a recipe for each KPI."""
    lines = [
        '[machine.any-cpu]\ndevice = "cpu"\n',
        '[workload.food11]\ntask = "image-classification"\nfixture = "fixtures.mine"\nreference = "r0"\n',
    ]
    targets = ", ".join(f'"{metric}" = "{bound}"' for metric, bound in BOUNDS.items())
    lines += [
        f'[workload.food11.recipe.r{number}]\nruntime = "onnxruntime"\npasses = ["onnx"]\n'
        f'[[kpi]]\nname = "kpi{number}"\nworkload = "food11"\nrecipe = "r{number}"\nmachine = "any-cpu"\n'
        f"targets = {{ {targets} }}\n"
        for number in range(kpis)
    ]
    file.write_text("\n".join(lines), encoding="utf-8")
    fixture = file.parent / "fixtures/mine/__init__.py"
    fixture.parent.mkdir(parents=True)
    fixture.write_text("", encoding="utf-8")


def process(random: np.random.Generator, samples: int, place: int) -> ProcessRecord:
    """A process as workers report it, of a few milliseconds a request."""
    times = tuple(map(float, random.lognormal(-5.5, 0.05, samples)))
    proof = Proof("onnxruntime", "1.24", "CPU", "fp32", 2, 66, 0, 116_592_480, 0, {"provider": "CPUExecutionProvider"})
    window = dict.fromkeys(("seconds", "steal", "others", "own", "stalled", "quota_share"), 0.1)
    return ProcessRecord(
        datetime.now(UTC).isoformat(), 1.1, 0.12, 0.004, 73_752_576, 158_810_112, proof, times, samples, sum(times),
        warmup={"runs": 81, "seconds": 0.2, "steady": True}, kernel_s=tuple(map(float, random.normal(3e-3, 1e-5, 14))),
        system={**window, "window": window, "phases": dict.fromkeys(("import", "load", "timed", "proof"), 0.1)},
        place=place,
    )  # fmt: skip


def answer(spec: Spec, target: Target, records: list[ProcessRecord], measurement: str) -> TargetResult:
    """The verdict of a target, judged as the gate does."""
    metric, settings = target.metric, spec.measure
    assert issubclass(metric, ProcessMetric)
    looks = looks_for(settings.looks, settings.confidence, settings.drift)
    estimates = metric.estimates(records, settings.confidence, first=settings.looks[0])
    judged = judge_processes(target.bound, estimates, looks=looks, confidence=settings.confidence)
    return TargetResult(
        judged.verdict, "", judged.value, judged.low, judged.high, judged.confidence, judged.n, judged.of, "a" * 64,
        (measurement,),
    )  # fmt: skip


def record(recorder: Recorder, targets: list[Target], processes: int, samples: int) -> list[float]:
    """Keeps processes and verdicts as a run does; the seconds that each verdict took with the processes before it."""
    random, journal = np.random.default_rng(1), Journal(recorder.folder)
    by_kpi: dict[str, list[Target]] = {}
    for target in targets:
        by_kpi.setdefault(target.kpi, []).append(target)
    seconds, place = [], 0
    each = max(1, processes // len(by_kpi))
    for kpi, own in by_kpi.items():
        records = [process(random, samples, place + number) for number in range(each)]
        place += each
        facts: dict[str, Any] = {
            "id": f"m-{kpi}", "recipe": f"food11/{own[0].recipe}", "artifact": "a" * 64, "artifact_bytes": 5_000_000,
            "runtime": "onnxruntime", "device": "cpu", "scenario": "single-stream",
        }  # fmt: skip
        begin = time.perf_counter()
        for count in range(1, each + 1):
            journal.keep(Measurement(**facts, processes=records[:count]))
        for target in own:
            recorder.record(target.key, answer(recorder.ledger.spec, target, records, facts["id"]))
        seconds.append((time.perf_counter() - begin) / len(own))
    return seconds


def timed(what: str, call: Callable[[], object]) -> None:
    """Prints how long a call takes."""
    begin = time.perf_counter()
    call()
    print(f"{what:44} {time.perf_counter() - begin:8.2f} s", flush=True)


def kpi(folder: Path, *arguments: str) -> Callable[[], object]:
    """A command of kpi, called in the folder."""
    command = [sys.executable, "-m", "harness.cli.main", *arguments]

    def call() -> None:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode not in (0, 1):
            raise SystemExit(f"kpi {' '.join(arguments)}: {done.stderr[-500:]}")

    return call


def main() -> int:
    """Prints a line for each step."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--targets", type=int, default=15_000)
    parser.add_argument("--processes", type=int, default=50_000)
    parser.add_argument("--samples", type=int, default=200)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_kpis(folder / "kpis.toml", chosen.targets // TARGETS)
        timed("kpis.toml read", lambda: read_spec(folder / "kpis.toml"))
        spec = read_spec(folder / "kpis.toml")
        recorder = Recorder(Ledger(spec), folder / ".kpi/latest", datetime.now(UTC), release=False)
        seconds = record(recorder, list(spec.targets), chosen.processes, chosen.samples)
        tenth = len(seconds) // 10
        first, last = statistics.mean(seconds[:tenth]), statistics.mean(seconds[-tenth:])
        print(f"a verdict with its processes                 {1e3 * first:8.2f} ms at first, {1e3 * last:.2f} at last")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        timed("evidence.json, summary, report, badge", recorder.finish)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        print(f"memory                                       {before:8.2f} GB before, {peak:.2f} GB at most")
        evidence = recorder.out / "evidence.json"
        for file in (evidence, recorder.out / "report.html"):
            print(f"{file.name:44} {file.stat().st_size / 1e6:8.1f} MB")
        timed("kpi explain", kpi(folder, "explain", "kpi7:p50"))
        timed("kpi report", kpi(folder, "report"))
        timed("kpi compare", kpi(folder, "compare", str(evidence), str(evidence)))
        timed("kpi merge", kpi(folder, "merge", str(evidence), "--out", "merged"))
        timed("examples/replay.py", lambda: subprocess.run(
            [sys.executable, str(ROOT / "examples/replay.py"), str(evidence)], capture_output=True, check=True
        ))  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
