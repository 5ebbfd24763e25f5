"""Records the medians of hundreds of processes in a row of three shipped artifacts, for the study to replay.

Usage: PYTHONPATH=. python benchmarks/traces/record.py [RECIPE ...] [--processes 300] [--out benchmarks/traces]

A process measures for a tenth of a second; most of its life is its start, so that 300 take seven minutes on two
cores. Artifacts are built first, where the store lacks them. Writes one JSON file for each artifact: where it was
recorded, the median of each process in the order in which they ran, and which the validity signals called disturbed.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from harness.build.store import Store
from harness.gate import Gate
from harness.judge.metrics.latency import LatencyP50
from harness.measure.machine.detect import detect
from harness.spec.reader import read_spec

ROOT = Path(__file__).resolve().parents[2]
RECIPES = ("food11/int8-openvino", "question_answering/int8-qat", "video/int8")
SECONDS, SAMPLES = 0.1, 30


def record(recipe: str, processes: int) -> dict[str, object]:
    """The medians of so many fresh processes, one right after the other."""
    spec = read_spec(ROOT / "kpis.toml")
    spec = replace(spec, measure=replace(spec.measure, seconds=SECONDS, samples=SAMPLES))
    workload, _, name = recipe.partition("/")
    target = replace(spec.targets[0], workload=workload, recipe=name, machine="any-cpu", metric_name=LatencyP50.name)
    with tempfile.TemporaryDirectory() as folder:
        gate = Gate(spec, detect(), Store(), Path(folder), lambda _: None, install=True)
        subject = gate.subject(target, spec.recipe(workload, name), gate.builder.artifact(spec.recipe(workload, name)))
        records = gate.campaign.extend(subject, processes)
    return {
        "recipe": recipe,
        "machine": detect().cpu,
        "cores": detect().cores,
        "recorded": records[0].started[:10],
        "seconds": SECONDS,
        "medians_s": [round(LatencyP50.of(one), 9) for one in records],
        "disturbed": [bool(one.disturbed) for one in records],
    }


def main() -> int:
    """Records each artifact and says how alike neighbours were."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", default=list(RECIPES), help="workload/recipe, all three by default")
    parser.add_argument("--processes", type=int, default=300)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    chosen = parser.parse_args()
    for recipe in chosen.recipes:
        made = record(recipe, chosen.processes)
        file = chosen.out / f"{recipe.replace('/', '-')}.json"
        file.write_text(json.dumps(made) + "\n", encoding="utf-8")
        print(f"{recipe}: {chosen.processes} processes in {file}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
