"""Compares a figure as this harness measures it with another checkout's, interleaved in one run.

Usage: python benchmarks/versions.py OTHER --recipe food11/int8-openvino --metric latency.p50 [--rounds 10]
OTHER is the folder of the other checkout. The artifact, the requests and the scenario's options are this one's; the
worker, with its warm-up and its clock, is each one's own. For changes that shall move no figure.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from scipy.stats import binom

from harness.build.store import Store
from harness.core.statistics import median_bounds
from harness.gate import Gate
from harness.judge.metrics import metrics
from harness.judge.metrics.base import ProcessMetric
from harness.measure.machine.detect import detect
from harness.measure.runner import MeasurementRunner, MeasurementSpec
from harness.spec.reader import read_spec

ROOT = Path(__file__).resolve().parent.parent


def campaign(folder: Path) -> MeasurementRunner:
    """One that keeps what it measures in ``folder``."""
    folder.mkdir()
    return MeasurementRunner(folder, "", lambda _: None, detect())


def under(subject: MeasurementSpec, checkout: Path) -> MeasurementSpec:
    """The same, measured by another checkout's worker."""
    environment = {**subject.interpreter.environment, "PYTHONPATH": str(checkout)}
    return replace(subject, interpreter=replace(subject.interpreter, environment=environment))


def main() -> int:
    """Prints both figures and lives of each round, and the median of the figures' ratios with its interval."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--recipe", default="food11/int8-openvino")
    parser.add_argument("--metric", default="latency.p50")
    chosen = parser.parse_args()
    spec = read_spec(ROOT / "kpis.toml")
    workload, _, name = chosen.recipe.partition("/")
    recipe, metric = spec.recipe(workload, name), metrics()[chosen.metric]
    if not issubclass(metric, ProcessMetric):
        parser.error(f"{chosen.metric} is not a figure of a process")
    target = replace(spec.targets[0], workload=workload, recipe=name, machine="any-cpu", metric_name=metric.name)
    with tempfile.TemporaryDirectory() as scratch:
        gate = Gate(spec, detect(), Store(), Path(scratch), lambda _: None)
        subject = gate.subject(target, recipe, gate.builder.artifact(recipe))
        subjects = {"this": subject, "other": under(subject, chosen.other.resolve())}
        campaigns = {who: campaign(Path(scratch) / who) for who in subjects}
        ratios = []
        for number in range(chosen.rounds):
            seen, lives = {}, {}
            for who in ("this", "other") if number % 2 else ("other", "this"):
                record = campaigns[who].extend(subjects[who], number + 1)[-1]
                seen[who], lives[who] = metric.of(record), record.system["life_s"]
            ratios.append(seen["this"] / seen["other"])
            figures = ", ".join(f"{who} {seen[who]:.4g} in {lives[who]:.2f} s" for who in subjects)
            print(f"{figures}, ratio {ratios[-1]:.4f}", flush=True)
    low, high = median_bounds(ratios, int(binom.ppf(0.025, len(ratios), 0.5)) - 1)
    said = f"{statistics.median(ratios):.4f} (95 %: {low:.4f} to {high:.4f})"
    print(f"{recipe.key} {metric.name}: median ratio over {len(ratios)} rounds {said}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
