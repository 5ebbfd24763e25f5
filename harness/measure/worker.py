"""The measuring worker: one artifact, one scenario, one fresh process; JSON in, JSON out.

``python -m harness.measure.worker`` reads a request on standard input. It needs the runtime, NumPy and psutil, and
never imports torch unless the artifact is torch's.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.errors import KpiError
from harness.measure.kernel import run_kernel
from harness.measure.system import Snapshot, between, peak, reset_peak, resident
from harness.protocol import serve
from harness.runtimes import runtimes
from harness.scenarios import scenarios
from harness.scenarios.base import Stage
from harness.workload import Fixture, Settings, load_workload


def measure(request: Mapping[str, Any], progress: Callable[[str], None]) -> dict[str, Any]:
    """Loads, plays the scenario, reads back what ran; the result is a ProcessRecord as plain JSON."""
    import numpy as np

    started, begin = datetime.now(UTC).isoformat(timespec="milliseconds"), time.perf_counter()
    runtime_class, scenario_class = runtimes()[request["runtime"]], scenarios()[request["scenario"]]
    runtime = runtime_class(runtime_class.Options(**request["runtime_options"]))
    scenario = scenario_class(scenario_class.Options(**request["scenario_options"]))
    runtime.start()
    inputs = {p.stem: np.load(p) for p in sorted(Path(request["inputs"]).glob("*.npy"))}

    def workload() -> Fixture:
        return load_workload(Path(request["root"]), request["fixture"], Settings.from_json(request["settings"]))

    window: dict[str, Any] = {}

    @contextmanager
    def watch() -> Iterator[None]:
        opened = Snapshot.take()
        yield
        window.update(between(opened, Snapshot.take()))

    stage = Stage(
        inputs=inputs,
        requests=Path(request["inputs"]),
        seconds=request["seconds"],
        samples=request["samples"],
        workload=workload,
        outputs=Path(request["outputs"]),
        progress=progress,
        watch=watch,
        conditions=request["conditions"],
        earlier=tuple(map(Path, request["earlier"])),
    )
    first = scenario.first(stage)
    kernel_before = run_kernel()
    reset_peak()
    memory_before, before = resident(), Snapshot.take()

    start = time.perf_counter()
    session = runtime.load(Path(request["artifact"]), request["device"], scenario.batch, profile=scenario.profiled)
    loaded = time.perf_counter()
    answer = first(session)
    answered = time.perf_counter()

    for name, array in answer.items():
        if request["scenario"] != "adversarial" and not np.isfinite(array).all():
            raise KpiError(f"the artifact answers {name} with NaN or infinity on a real input")
    seen = scenario.play(session, stage)
    after, memory_peak = Snapshot.take(), peak()
    kernel_after = run_kernel()
    proof = session.proof()
    return {
        **seen,
        "started": started,
        "wall_s": time.perf_counter() - begin,
        "load_s": loaded - start,
        "first_inference_s": answered - loaded,
        "memory_before": memory_before,
        "memory_peak": memory_peak,
        "kernel_s": (*kernel_before, *kernel_after),
        "system": {**between(before, after), "window": window or None},
        "proof": asdict(proof),
    }


if __name__ == "__main__":
    sys.exit(serve(measure))
