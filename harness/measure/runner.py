"""Collects processes of artifacts under scenarios, alone or interleaved, as many as the verdicts ask for."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.build.environments import Interpreter
from harness.core.numbers import Numbers
from harness.core.placement import Placement
from harness.measure.instances import together
from harness.measure.journal import Journal, ReachedMachine
from harness.measure.machine.detect import Detected
from harness.measure.machine.temperature import waited
from harness.measure.place import Here, Place
from harness.measure.records import Measurement, ProcessRecord, ResumedRun
from harness.measure.resume import Resumed, conditions, restore
from harness.measure.runtimes import runtimes
from harness.measure.scenarios import scenarios
from harness.measure.validity import best_kernel, by_heat, disturbance


@dataclass(frozen=True)
class MeasurementSpec:
    """One artifact under one scenario: what a measurement is of.

    ``compared`` says for each pass how far what it wrote answered from what it read.
    ``machine`` names the machine that is reached for it; empty where it is this one. ``cool_to`` is how warm the device
    may be, in °C, when a process begins; None for as warm as it is.
    """

    recipe: str
    artifact: str
    artifact_path: Path
    artifact_bytes: int
    inputs: Path
    runtime: str
    runtime_options: Mapping[str, Any]
    device: str
    scenario: str
    scenario_options: Mapping[str, Any]
    interpreter: Interpreter
    placement: Placement
    origin: Mapping[str, Any]
    seconds: float
    samples: int
    subset: int | None = None
    compared: tuple[Mapping[str, Any], ...] = ()
    machine: str = ""
    cool_to: float | None = None

    @property
    def id(self) -> str:
        """The same for the same artifact, runtime, device, scenario and options; part of a file name."""
        identity = [
            self.recipe,
            self.artifact,
            self.runtime,
            dict(self.runtime_options),
            self.device,
            self.scenario,
            dict(self.scenario_options),
            self.interpreter.name,
            *([self.placement.to_json()] if self.placement.to_json() else []),
            *([{"subset": self.subset}] if self.subset else []),
            *([{"machine": self.machine}] if self.machine else []),
            *([{"cool_to": self.cool_to}] if self.cool_to is not None else []),
        ]
        return hashlib.sha256(json.dumps(identity, sort_keys=True, default=str).encode()).hexdigest()[:16]

    @property
    def span_s(self) -> float:
        """Seconds that a process takes at least because the scenario's options say so."""
        scenario = scenarios()[self.scenario]
        return scenario(scenario.Options(**self.scenario_options)).span_s


@dataclass
class Series:
    """The processes of a subject in the order in which they ran, disturbed or not: nothing is thrown away."""

    subject: MeasurementSpec
    records: list[ProcessRecord] = field(default_factory=list)
    scores: dict[str, Numbers] = field(default_factory=dict)
    weights: dict[str, Numbers] = field(default_factory=dict)
    groups: dict[str, Numbers] = field(default_factory=dict)
    effects: dict[str, float] = field(default_factory=dict)
    scored_with: dict[str, dict[str, str]] = field(default_factory=dict)
    taken_over: Resumed | None = None

    @property
    def clusters(self) -> list[int] | None:
        """For each evaluation sample the number of the cluster that it belongs to; None where all are independent."""
        return self.records[0].details.get("clusters") if self.records else None

    def measurement(
        self, name: str, pairs: Mapping[str, Sequence[tuple[int, int]]], conditions: Mapping[str, Any]
    ) -> Measurement:
        """The measurement as kept in the evidence."""
        subject, earlier = self.subject, self.taken_over
        return Measurement(
            id=name,
            recipe=subject.recipe,
            artifact=subject.artifact,
            artifact_bytes=subject.artifact_bytes,
            runtime=subject.runtime,
            device=subject.device,
            scenario=subject.scenario,
            runtime_options=subject.runtime_options,
            scenario_options=subject.scenario_options,
            environment=subject.interpreter.name,
            placement=subject.placement.to_json(),
            conditions=conditions,
            compared=subject.compared,
            machine=subject.machine,
            taken_over=ResumedRun(earlier.run, len(earlier.records)) if earlier else None,
            scores=self.scores,
            weights=self.weights,
            groups=self.groups,
            effects={metric: effect for metric, effect in self.effects.items() if math.isfinite(effect)},
            scored_with=self.scored_with,
            pairs=pairs,
            processes=self.records,
        )


class MeasurementRunner:
    """All measurements of one run: artifacts are cached, measurements never.

    Only where the user asked to go on with a run that was stopped, its folder is in ``stopped``.
    """

    def __init__(
        self,
        folder: Path,
        tag: str,
        progress: Callable[[str], None],
        machine: Detected,
        stopped: Sequence[Path] = (),
    ) -> None:
        self.outputs = folder / "outputs"
        self.log = folder / "measure.log"
        self.tag = tag
        self.progress = progress
        self._journal = Journal(folder, tag)
        self.places: dict[str, Place] = {"": Here(machine)}
        self._keeping = threading.RLock()
        self._stopped = stopped
        self._known_conditions: dict[str, dict[str, Any]] = {}
        self.series: dict[str, Series] = {}
        self.pairs: dict[tuple[str, str], list[tuple[int, int]]] = {}
        self._partners: dict[str, list[str]] = {}
        self.wasted: Counter[tuple[str, str]] = Counter()
        self._place = 0

    def of(self, subject: MeasurementSpec) -> Series:
        """The series of a subject: empty at first, or what a stopped run had measured of it."""
        if subject.id not in self.series:
            made = self.series[subject.id] = Series(subject)
            found = restore(self._stopped, subject.id, self.tag, self.conditions_of(subject)) if self._stopped else None
            if found is not None:
                made.taken_over, made.records = found, list(found.records)
                self._place = max(self._place, *(record.place for record in found.records))
                self.outputs.mkdir(parents=True, exist_ok=True)
                for name in {record.outputs for record in found.records} - {""}:
                    for file in (found.folder / "outputs").glob(f"{Path(name).stem}.*"):
                        shutil.copy2(file, self.outputs / file.name)
                self.keep(subject)
        return self.series[subject.id]

    def conditions_of(self, subject: MeasurementSpec) -> dict[str, Any]:
        """What must be alike, besides the subject itself, for another measurement to be of the same thing."""
        if subject.id not in self._known_conditions:
            interpreter = subject.interpreter
            versions = {name: interpreter.version(name) for name in runtimes()[subject.runtime].distributions}
            more: dict[str, Any] = {"seconds": subject.seconds, "samples": subject.samples}
            if subject.cool_to is not None:
                more["cool_to"] = subject.cool_to
            self._known_conditions[subject.id] = conditions(
                dataclasses.asdict(self.places[subject.machine].machine), subject.inputs, versions, **more
            )
        return self._known_conditions[subject.id]

    def of_recipe(self, recipe: str) -> list[Series]:
        """What was measured of a recipe, by its key, in any scenario."""
        return [series for series in self.series.values() if series.subject.recipe == recipe]

    def reference(self, subject: MeasurementSpec) -> str:
        """The name of a subject's measurement in the evidence; ``tag`` tells apart processes that share a run."""
        return f"{subject.id}-{self.tag}" if self.tag else subject.id

    def disturbed(self, subjects: Sequence[MeasurementSpec]) -> str:
        """How often processes were disturbed, with the latest reason; empty when none was."""
        records = [record for subject in subjects for record in self.of(subject).records]
        reasons = [record.disturbed for record in records if record.disturbed]
        return f"{len(reasons)} of {len(records)} processes were disturbed: {reasons[-1]}" if reasons else ""

    def keep(self, subject: MeasurementSpec) -> None:
        """Writes what was measured since it was last kept, so that a killed run loses nothing."""
        with self._keeping:
            self._journal.keep(self._measurement(self.of(subject)))

    def met(self, name: str, machine: ReachedMachine) -> None:
        """Writes what a machine is that was reached."""
        with self._keeping:
            self._journal.meet(name, machine)

    def measurements(self, workload: str) -> list[Measurement]:
        """What this run has measured of a workload so far, as the evidence holds it."""
        own = (series for series in self.series.values() if series.subject.recipe.partition("/")[0] == workload)
        return [self._measurement(series) for series in own]

    def _measurement(self, series: Series) -> Measurement:
        subject = series.subject
        pairs = {
            self.reference(self.series[other].subject): self.pairs[subject.id, other]
            for other in self._partners.get(subject.id, ())
        }
        return series.measurement(self.reference(subject), pairs, self.conditions_of(subject))

    def extend(self, subject: MeasurementSpec, count: int) -> list[ProcessRecord]:
        """Runs fresh processes until there are ``count``; returns them all."""
        series = self.of(subject)
        if len(series.records) < count:
            with self.places[subject.machine].lock(subject.device, self.progress):
                while len(series.records) < count:
                    self._more(subject, count)
        return series.records

    def add(self, subject: MeasurementSpec, count: int) -> float:
        """Runs one more fresh process, of ``count`` that are wanted; returns the seconds that it took.

        Waiting until the machine has cooled down is not counted: a process may wait for as long as it is told to.
        """
        begin = time.monotonic()
        with self.places[subject.machine].lock(subject.device, self.progress):
            self._more(subject, count)
        return time.monotonic() - begin - waited(self.of(subject).records[-1])

    def _more(self, subject: MeasurementSpec, count: int) -> None:
        records = self.of(subject).records
        records.append(self._run(subject, len(records) + 1, count))
        self.keep(subject)

    def add_pair(self, a: MeasurementSpec, b: MeasurementSpec, count: int) -> float:
        """Runs a process of each of two subjects, next to each other: A B, then B A, and so on.

        A pair counts only when neither of its processes was disturbed: the two are next to each other in time, so that
        what slows both cancels out, but what slows one may do so more than the other. Heat is not a disturbance here:
        an artifact that heats the machine is slowed by itself. Returns the seconds it took.
        """
        begin, both = time.monotonic(), [self.of(subject).records for subject in (a, b)]
        pairs = self.pairs_of(a, b)
        with self.places[a.machine].lock(a.device, self.progress):
            for subject in (b, a) if len(both[0]) % 2 else (a, b):
                self.of(subject).records.append(self._run(subject, len(pairs) + 1, count))
            if any(records[-1].disturbed and not by_heat(records[-1]) for records in both):
                self.wasted[a.id, b.id] += 1
            else:
                self.wasted[a.id, b.id] = 0
                pairs.append((len(both[0]) - 1, len(both[1]) - 1))
            self.keep(b)
            self.keep(a)
        return time.monotonic() - begin - sum(waited(records[-1]) for records in both)

    def pairs_of(self, a: MeasurementSpec, b: MeasurementSpec) -> list[tuple[int, int]]:
        """The undisturbed pairs of two subjects, as positions in their two series."""
        if (a.id, b.id) not in self.pairs:
            self.pairs[a.id, b.id] = self._pairs_taken_over(a, b)
            self._partners.setdefault(a.id, []).append(b.id)
        return self.pairs[a.id, b.id]

    def _pairs_taken_over(self, a: MeasurementSpec, b: MeasurementSpec) -> list[tuple[int, int]]:
        """The pairs of a stopped run, both of whose processes were kept."""
        ours, theirs = self.of(a).taken_over, self.of(b).taken_over
        if ours is None or theirs is None or ours.folder != theirs.folder:
            return []
        pairs = [(int(i), int(j)) for i, j in ours.pairs.get(b.id, ())]
        return [(i, j) for i, j in pairs if i < len(ours.records) and j < len(theirs.records)]

    def _run(self, subject: MeasurementSpec, number: int, count: int) -> ProcessRecord:
        said = f"measure {subject.recipe} {subject.scenario}: process {number} of {count}"
        self.progress(said)
        self.outputs.mkdir(parents=True, exist_ok=True)
        instances = subject.placement.instances
        found = self.places[subject.machine].measure(
            [self._request(subject, instance) for instance in range(instances)],
            subject.interpreter,
            log=self.log,
            progress=lambda text: self.progress(f"{said}: {text}"),
        )
        records = [ProcessRecord.of_worker(one) for one in found]
        record = records[0] if instances == 1 else together(records)
        with self._keeping:
            self._place += 1
            record = dataclasses.replace(record, place=self._place)
        scenario = scenarios()[subject.scenario]
        if not scenario.timed:
            return record
        # A kernel timed next to a busy neighbour of our own is only like those with such a neighbour.
        alike = [s for s in list(self.series.values()) if _placed(s.subject) == _placed(subject)]
        seen = [r for s in alike for r in s.records]
        reason = record.disturbed or disturbance(record, best_kernel([*seen, record]), scenario.heats)
        return dataclasses.replace(record, disturbed=reason)

    def _request(self, subject: MeasurementSpec, instance: int) -> dict[str, Any]:
        """What one worker is asked; of several at once the place lets them meet."""
        placement = subject.placement.of(instance)
        outputs = self.outputs / f"{self.reference(subject)}{f'-{instance}' if instance else ''}.npz"
        return {
            "runtime": subject.runtime,
            "runtime_options": dict(subject.runtime_options),
            "scenario": subject.scenario,
            "scenario_options": dict(subject.scenario_options),
            "artifact": str(subject.artifact_path),
            "inputs": str(subject.inputs),
            "device": subject.device,
            "cores": placement.cores[0] if placement.cores else None,
            "numa_node": placement.numa_node,
            "meeting": None,
            "seconds": subject.seconds,
            "samples": subject.samples,
            "span_s": subject.span_s,
            "cool_to": subject.cool_to,
            "subset": subject.subset,
            "outputs": str(outputs),
            "conditions": self.conditions_of(subject),
            "earlier": [str(folder / "outputs") for folder in self._stopped],
            **subject.origin,
        }


def _placed(subject: MeasurementSpec) -> tuple[str, Placement]:
    return subject.machine, subject.placement
