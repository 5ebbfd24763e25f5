"""How many answers have to come before the first that is timed, so that a language model's figures do not move.

Usage: python benchmarks/warm_up.py [--recipe translation-class/int8] [--few 2] [--many 4] [--rounds 20]
Fresh processes answer one prompt after the other. In each, the figures of six answers after ``few`` are held against
those of six after ``many``; most answers are in both, so that only what a longer warm-up changes is left.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from scipy.stats import binom

from harness.build.store import Store
from harness.core.statistics import median, median_bounds
from harness.gate import Gate
from harness.measure.loadgen.prompts import prompts_of
from harness.measure.lock import device_lock
from harness.measure.machine.detect import detect
from harness.measure.runtimes import runtime
from harness.spec.reader import read_spec
from harness.tasks.language.workload import SAMPLES, read_prompts

ROOT = Path(__file__).resolve().parent.parent
_TIMED = 6


def answers(asked: dict[str, Any]) -> list[tuple[float, float, float]]:
    """Of each answer: time to first token, time per token, the whole; in this process, which has done nothing else."""
    cls = runtime(asked["runtime"])
    library = cls(cls.Options(**asked["options"]))
    library.start()
    session: Any = library.load(Path(asked["artifact"]), asked["device"], 1, profile=False)
    tokens = int(asked["tokens"])
    session.generate(asked["prompts"][0], 2, exactly=True)
    said = [session.generate(prompt, tokens, exactly=True) for prompt in asked["prompts"]]
    return [(a.ttft_s, (a.generate_s - a.ttft_s) / (tokens - 1), a.wall_s) for a in said]


def figures(seen: Sequence[Sequence[float]]) -> dict[str, float]:
    """As the metrics of ``generate`` make them."""
    ttft, tpot, whole = zip(*seen, strict=True)
    return {
        "ttft": median(ttft),
        "tpot": median(tpot),
        "latency.generate": median(whole),
        "throughput.tokens": len(whole) / sum(whole),
    }


def main() -> None:
    """Prints, for each figure, the median ratio few / many with its interval."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="translation-class/int8")
    parser.add_argument("--few", type=int, default=2)
    parser.add_argument("--many", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.one:
        print(json.dumps(answers(json.loads(chosen.one.read_text(encoding="utf-8")))))
        return
    spec = read_spec(ROOT / "kpis.toml")
    workload, _, name = chosen.recipe.partition("/")
    recipe = spec.recipe(workload, name)
    target = replace(spec.targets[0], workload=workload, recipe=name, machine="any-cpu", metric_name="tpot")
    with tempfile.TemporaryDirectory() as scratch:
        gate = Gate(spec, detect(), Store(), Path(scratch), lambda _: None)
        subject = gate.subject(target, recipe, gate.builder.artifact(recipe))
        options = subject.scenario_options
        texts = [prompt.prompt for prompt in read_prompts(subject.inputs / SAMPLES)]
        turns = [p for turn in zip(*prompts_of(texts, options["words"]).values(), strict=True) for p in turn]
        asked = {"runtime": subject.runtime, "options": dict(subject.runtime_options), "device": subject.device}
        asked |= {"artifact": str(subject.artifact_path), "tokens": options["tokens"]}
        file = Path(scratch) / "asked.json"
        file.write_text(json.dumps({**asked, "prompts": turns[: chosen.many + _TIMED]}), encoding="utf-8")
        command = [str(subject.interpreter.python), str(Path(__file__)), "--one", str(file)]
        ratios: dict[str, list[float]] = {}
        for _ in range(chosen.rounds):
            with device_lock(subject.device, lambda _: None):
                done = subprocess.run(command, capture_output=True, text=True, check=True)
            seen = json.loads(done.stdout.splitlines()[-1])
            few, many = (figures(seen[start : start + _TIMED]) for start in (chosen.few, chosen.many))
            for figure, value in few.items():
                ratios.setdefault(figure, []).append(value / many[figure])
    for figure, found in ratios.items():
        low, high = median_bounds(found, int(binom.ppf(0.025, len(found), 0.5)) - 1)
        print(f"{recipe.key} {figure}: {median(found):.4f} (95 %: {low:.4f} to {high:.4f}), {len(found)} processes")


if __name__ == "__main__":
    main()
