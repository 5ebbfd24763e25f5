"""The measuring worker: one artifact, one scenario, one fresh process; JSON in, JSON out.

``python -m harness.measure.worker`` reads a request on standard input. It needs the runtime, NumPy and psutil, and
never imports torch unless the artifact is torch's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.build.artifact import tensor_facts
from harness.core.arrays import of_numbers
from harness.core.cores import check, in_force, pin
from harness.core.errors import KpiError
from harness.core.placement import memory_policy, node_cores
from harness.core.protocol import leave, serve
from harness.measure.barrier import FileBarrier
from harness.measure.machine.energy import EnergyMeter
from harness.measure.machine.system import Snapshot, between, peak, reset_peak, resident
from harness.measure.machine.temperature import Thermometer, Warmth, cool_down
from harness.measure.machine.timeline import Timeline
from harness.measure.phases import TIMED, Phases
from harness.measure.probe import run_kernel
from harness.measure.requests import read_requests
from harness.measure.runtimes import runtime as find_runtime
from harness.measure.runtimes.base import Runtime, Session, TensorSession
from harness.measure.scenarios import scenario as find_scenario
from harness.measure.scenarios.base import Scenario, ScenarioContext, TensorScenario
from harness.measure.scenarios.checked import replay, spreads
from harness.workloads.base import Settings, Workload
from harness.workloads.checks import checked
from harness.workloads.errors import naming_fixture
from harness.workloads.loading import load_workload

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@naming_fixture
def measure(request: Mapping[str, Any], progress: Callable[[str], None]) -> dict[str, Any]:
    """Loads, plays the scenario, reads back what ran; the result is a ProcessRecord as plain JSON."""
    node, cores = request["numa_node"], request["cores"]
    if node is not None and not cores:
        cores = node_cores(node)
    if cores:
        pin(cores)
    meeting = FileBarrier.from_json(request["meeting"]) if request["meeting"] else None
    cooled = None
    if (cool_to := request.get("cool_to")) is not None:
        cooled = cool_down(cool_to, Thermometer(request["device"]).read, progress).to_json()
        if meeting:
            meeting.wait("cooled")
    started, begin = datetime.now(UTC).isoformat(timespec="milliseconds"), time.perf_counter()
    phases = Phases()
    runtime_class, scenario_class = find_runtime(request["runtime"]), find_scenario(request["scenario"])
    runtime = runtime_class(runtime_class.Options(**request["runtime_options"]), timed=scenario_class.timed)
    scenario = _fitting(scenario_class, request["scenario_options"], Path(request["artifact"]))
    timeline = Timeline() if scenario.watched else None
    with timeline or nullcontext():
        mark = timeline.mark if timeline else lambda _: None
        seen = _observe({**request, "cores": cores}, meeting, runtime, scenario, progress, mark, phases)
    if cooled:
        seen["system"]["cooled"] = cooled
    if timeline:
        seen["details"] = {**seen.get("details", {}), "timeline": timeline.to_json()}
    return {**seen, "started": started, "wall_s": time.perf_counter() - begin}


def _observe(
    request: Mapping[str, Any],
    meeting: FileBarrier | None,
    runtime: Runtime,
    scenario: Scenario[Any],
    progress: Callable[[str], None],
    mark: Callable[[str], None],
    phases: Phases,
) -> dict[str, Any]:
    """Loads and plays, between two looks at the machine; ``mark`` is told what begins."""
    runtime.import_library()
    phases.end("import")
    inputs, *others = read_requests(Path(request["inputs"]))

    window: dict[str, Any] = {}
    timed: list[float] = []
    energy = EnergyMeter()

    @contextmanager
    def watch() -> Iterator[None]:
        if meeting:
            meeting.wait("timed")
        opened, joules = Snapshot.take(), energy.read()
        mark("timed")
        phases.end("prepare")
        yield
        phases.end(TIMED)
        mark("end")
        taken, closed = energy.read(), Snapshot.take()
        timed[:] = opened.wall, closed.wall
        window.update(between(opened, closed), energy=energy.between(joules, taken))

    stage = ScenarioContext(
        inputs=inputs,
        others=others,
        requests=Path(request["inputs"]),
        seconds=request["seconds"],
        samples=request["samples"],
        subset=request.get("subset"),
        workload=lambda: _workload(request),
        outputs=Path(request["outputs"]),
        progress=progress,
        watch=watch,
        scored=phases.scored,
        conditions=request["conditions"],
        earlier=tuple(map(Path, request["earlier"])),
        warmth=lambda: Warmth.read(request["device"]),
    )
    first = scenario.first_request(stage)
    phases.end("inputs")
    kernel_before = _kernel(meeting, "kernel-before", phases)
    reset_peak()
    memory_before, before = resident(), Snapshot.take()

    mark("load")
    start = time.perf_counter()
    session = _load(runtime, scenario, Path(request["artifact"]), request["device"])
    loaded = time.perf_counter()
    if not isinstance(session, scenario.session_type):
        raise KpiError(f"{runtime.title} can't play scenario {scenario.name}", "choose another runtime for the recipe")
    try:
        answer = first(session)
        answered = time.perf_counter()
        phases.end("load")
        if scenario.finite:
            _check_finite(answer)
        seen = scenario.run(session, stage)
        phases.end("rest")
        after, memory_peak = Snapshot.take(), peak()
        _ask_again(scenario, session, stage, answer)
        placed = {
            "cores": check(request["cores"]) if request["cores"] else in_force(),
            "memory_policy": memory_policy(),
            "phases": phases.seconds,
        }
        proof = session.proof()
    finally:
        session.close()
    phases.end("proof")
    kernel_after = _kernel(meeting, "kernel-after", phases)
    return {
        **seen,
        "load_s": loaded - start,
        "first_inference_s": answered - loaded,
        "memory_before": memory_before,
        "memory_peak": memory_peak,
        "kernel_s": (*kernel_before, *kernel_after),
        "system": {**between(before, after), "window": window or None, "timed": timed or None, **placed},
        "proof": asdict(proof),
    }


def _load(runtime: Runtime, scenario: Scenario[Any], artifact: Path, device: str) -> Session:
    """The session, asked by the workload's names.

    Of a model that keeps state it is one that is asked for sequences, whose batch axis is not fixed.
    """
    facts = tensor_facts(artifact)
    session = runtime.load(artifact, device, None if facts.state else scenario.batch, profile=scenario.profiled)
    # Imported by the few that need them.
    if facts.naming and isinstance(session, TensorSession):
        from harness.measure.renamed import RenamedSession

        return RenamedSession(session, facts.naming)
    if not facts.state:
        return session
    if not isinstance(session, TensorSession):
        raise KpiError(f"{runtime.title} can't carry the state of {', '.join(one.name for one in facts.state)}")
    from harness.measure.sequences import SequenceSession

    return SequenceSession(session, facts.state)


def _fitting(cls: type[Scenario[Any]], options: Mapping[str, Any], artifact: Path) -> Scenario[Any]:
    """The scenario; where nothing is timed its batches are of the only size that the artifact takes.

    Raises KpiError where it sends others.
    """
    # Read here, so that the time to load the artifact does not hold it.
    scenario, fixed = cls(cls.Options(**options)), tensor_facts(artifact).batch
    if fixed is None or not isinstance(scenario, TensorScenario) or scenario.batch == fixed:
        return scenario
    settable = "batch" in cls.Options.__dataclass_fields__
    if settable and not cls.timed:
        return cls(cls.Options(**{**options, "batch": fixed}))
    sends = "batches of several sizes" if scenario.batch is None else f"batches of {scenario.batch}"
    raise KpiError(
        f"scenario {cls.name} sends {sends}, the model takes batches of {fixed} and no other",
        f"set scenario.{cls.name} = {{ batch = {fixed} }} in the recipe" if settable else "",
    )


def _ask_again(
    scenario: Scenario[Any], session: Session, stage: ScenarioContext, answer: Mapping[str, npt.NDArray[np.generic]]
) -> None:
    """Holds answers after many timed requests against the first: what was timed must be what was scored.

    Raises KpiError where they changed, or depend on the place in the batch.
    """
    if isinstance(scenario, TensorScenario) and isinstance(session, TensorSession) and scenario.timed:
        numbers = of_numbers(answer)
        replay(session.run, scenario.feeds(stage), numbers, spreads(numbers))


def _workload(request: Mapping[str, Any]) -> Workload:
    root = Path(request["root"])
    return checked(load_workload(root, request["fixture"], Settings.from_json(request["settings"])), root)


def _check_finite(answer: Mapping[str, npt.NDArray[np.generic]]) -> None:
    import numpy as np

    for name, array in of_numbers(answer).items():
        if not np.isfinite(array).all():
            raise KpiError(
                f"the artifact answers {name} with NaN or infinity on the first evaluation sample",
                "look for overflow, a division by zero or damaged weights in the model, or infinite values in the data",
            )


def _kernel(meeting: FileBarrier | None, when: str, phases: Phases) -> list[float]:
    """The reference kernel; of several instances at the same time, so that they disturb each other alike each time."""
    if meeting:
        meeting.wait(when)
    seconds = list(run_kernel())
    phases.end("kernel")
    return seconds


if __name__ == "__main__":
    leave(serve(measure))
