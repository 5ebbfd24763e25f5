"""Compares the suite's median latency with a bare loop in a plain script, interleaved in one run.

Usage: python benchmarks/agreement.py [--rounds 10] [--recipe int8-openvino]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from harness.gate import Gate
from harness.machine import detect
from harness.metrics.latency import LatencyP50
from harness.spec_reader import read_spec
from harness.store import Store

ROOT = Path(__file__).resolve().parent.parent

BARE = """
import json, statistics, sys, time
import numpy as np
folder, sample = sys.argv[1:3]
import itertools
images = np.load(sample)
requests = itertools.cycle([images[i : i + 1] for i in range(len(images))])
{load}
for _ in range(200):
    run()
times = []
end = time.perf_counter() + 0.5
while time.perf_counter() < end:
    start = time.perf_counter()
    run()
    times.append(time.perf_counter() - start)
print(json.dumps(statistics.median(times)))
"""
LOADS = {
    "openvino": """
import openvino as ov
model = ov.Core().read_model(folder + "/model.xml")
model.reshape([1, *images.shape[1:]])
options = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
request = ov.Core().compile_model(model, "CPU", options).create_infer_request()
run = lambda: request.infer({"image": next(requests)}, share_inputs=True)
""",
    "onnxruntime": """
import onnxruntime as ort
session = ort.InferenceSession(folder + "/model.onnx", providers=["CPUExecutionProvider"])
run = lambda: session.run(None, {"image": next(requests)})
""",
}


def main() -> int:
    """Prints both medians of each round, and the median of their ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--recipe", default="int8-openvino")
    chosen = parser.parse_args()
    spec = read_spec(ROOT / "kpis.toml")
    recipe = spec.recipe("food11", chosen.recipe)
    target = next(t for t in spec.targets if t.metric_name == "latency.p50" and t.machine == "any-cpu")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "measurements").mkdir()
        gate = Gate(spec, detect(), Store(), folder, lambda _: None)
        artifact = gate.builder.artifact(recipe)
        subject = gate.subject(replace(target, recipe=recipe.name), recipe, artifact)
        script = folder / "bare.py"
        script.write_text(BARE.format(load=LOADS[recipe.runtime]), encoding="utf-8")
        ratios = []
        for number in range(chosen.rounds):
            both = {}
            for who in ("suite", "bare") if number % 2 else ("bare", "suite"):
                if who == "suite":
                    both[who] = LatencyP50.of(gate.campaign.extend(subject, number + 1)[-1])
                else:
                    sample = next(subject.inputs.glob("*.npy"))
                    command = [sys.executable, str(script), str(artifact.path), str(sample)]
                    done = subprocess.run(command, capture_output=True, text=True, check=True)
                    both[who] = json.loads(done.stdout)
            ratios.append(both["suite"] / both["bare"])
            print(f"suite {1e3 * both['suite']:.3f} ms, bare loop {1e3 * both['bare']:.3f} ms, ratio {ratios[-1]:.4f}")
    print(f"{recipe.key}: median ratio over {len(ratios)} rounds {statistics.median(ratios):.4f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
