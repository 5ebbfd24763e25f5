"""Compares the suite's median latency with a bare loop in a plain script, interleaved in one run.

Usage: python benchmarks/agreement.py [--rounds 10] [--recipe food11/int8-openvino]
A language model's recipe (translation-class/int8) is compared by the time of a whole answer.
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

from scipy.stats import binom

from harness.build.store import Store
from harness.core.statistics import median_bounds
from harness.gate import Gate
from harness.judge.metrics.base import ProcessMetric
from harness.judge.metrics.latency import LatencyP50
from harness.measure.loadgen.prompts import prompts_of
from harness.measure.lock import device_lock
from harness.measure.machine.detect import detect
from harness.measure.runner import MeasurementSpec
from harness.spec.reader import read_spec
from harness.spec.tasks import PROMPTS, tasks
from harness.tasks.language.metrics.generation import LatencyGenerate
from harness.tasks.language.workload import SAMPLES, read_prompts

ROOT = Path(__file__).resolve().parent.parent

TENSORS = """
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
ANSWERS = """
import json, statistics, sys, time
import openvino_genai
folder, sample = sys.argv[1:3]
given = json.load(open(sample))
{load}
def answer(prompt):
    start = time.perf_counter()
    pipeline.generate([prompt], config)
    return time.perf_counter() - start
for prompt in given["prompts"][:6]:
    answer(prompt)
print(json.dumps(statistics.median(answer(p) for p in given["prompts"][: given["count"]])))
"""
LOADS = {
    "openvino-genai": """
options = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
pipeline = openvino_genai.LLMPipeline(folder, "CPU", **options)
config = pipeline.get_generation_config()
config.do_sample, config.max_new_tokens, config.ignore_eos = False, given["tokens"], True
""",
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


def bare(subject: MeasurementSpec, folder: Path) -> list[str]:
    """The command of the plain script, which gets the artifact with the very requests of the suite."""
    script, sample = folder / "bare.py", folder / "prompts.json"
    if subject.scenario == "generate":
        options = subject.scenario_options
        texts = [prompt.prompt for prompt in read_prompts(subject.inputs / SAMPLES)]
        turns = zip(*prompts_of(texts, options["words"]).values(), strict=True)
        content = {"prompts": [p for turn in turns for p in turn], "tokens": options["tokens"]}
        sample.write_text(json.dumps({**content, "count": options["requests"] * len(options["words"])}))
        template = ANSWERS
    else:
        sample, template = next(subject.inputs.glob("*.npy")), TENSORS
    script.write_text(template.format(load=LOADS[subject.runtime]), encoding="utf-8")
    return [sys.executable, str(script), str(subject.artifact_path), str(sample)]


def main() -> int:
    """Prints both medians of each round, and the median of their ratios with its interval."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--recipe", default="food11/int8-openvino")
    chosen = parser.parse_args()
    spec = read_spec(ROOT / "kpis.toml")
    workload, _, name = chosen.recipe.partition("/")
    recipe = spec.recipe(workload, name)
    metric: type[ProcessMetric] = (
        LatencyGenerate if tasks()[spec.workloads[workload].task].requests in PROMPTS else LatencyP50
    )
    target = replace(spec.targets[0], workload=workload, recipe=name, machine="any-cpu", metric_name=metric.name)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        gate = Gate(spec, detect(), Store(), folder, lambda _: None)
        subject = gate.subject(target, recipe, gate.builder.artifact(recipe))
        command = bare(subject, folder)
        ratios = []
        for number in range(chosen.rounds):
            both = {}
            for who in ("suite", "bare") if number % 2 else ("bare", "suite"):
                if who == "suite":
                    both[who] = metric.of(gate.campaign.extend(subject, number + 1)[-1])
                else:
                    with device_lock(subject.device, lambda _: None):  # as alone as the suite's own process
                        done = subprocess.run(command, capture_output=True, text=True, check=True)
                    both[who] = json.loads(done.stdout)
            ratios.append(both["suite"] / both["bare"])
            print(f"suite {1e3 * both['suite']:.3f} ms, bare loop {1e3 * both['bare']:.3f} ms, ratio {ratios[-1]:.4f}")
    low, high = median_bounds(ratios, int(binom.ppf(0.025, len(ratios), 0.5)) - 1)
    middle = statistics.median(ratios)
    print(f"{recipe.key}: median ratio over {len(ratios)} rounds {middle:.4f} (95 %: {low:.4f} to {high:.4f})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
