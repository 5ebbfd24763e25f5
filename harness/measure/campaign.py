"""Collects processes of artifacts under scenarios, alone or interleaved, as many as the verdicts ask for."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.environments import Interpreter
from harness.evidence import write_measurement
from harness.measure.lock import device_lock
from harness.measure.records import ProcessRecord
from harness.measure.validity import best_kernel, disturbance
from harness.process import call_worker
from harness.scenarios import scenarios

_MODULE = "harness.measure.worker"
_TIMEOUT_S = 3600.0


@dataclass(frozen=True)
class Subject:
    """One artifact under one scenario: what a measurement is of."""

    recipe: str
    artifact: str
    artifact_path: Path
    inputs: Path
    runtime: str
    runtime_options: Mapping[str, Any]
    device: str
    scenario: str
    scenario_options: Mapping[str, Any]
    interpreter: Interpreter
    origin: Mapping[str, Any]
    seconds: float
    samples: int

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
        ]
        return hashlib.sha256(json.dumps(identity, sort_keys=True, default=str).encode()).hexdigest()[:16]


@dataclass
class Series:
    """The processes of a subject in the order in which they ran, disturbed or not: nothing is thrown away."""

    subject: Subject
    records: list[ProcessRecord] = field(default_factory=list)
    scores: dict[str, list[float]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The measurement as kept in the evidence: every raw sample of every process."""
        subject = self.subject
        return {
            "recipe": subject.recipe,
            "artifact": subject.artifact,
            "runtime": subject.runtime,
            "runtime_options": dict(subject.runtime_options),
            "environment": subject.interpreter.name,
            "device": subject.device,
            "scenario": subject.scenario,
            "scenario_options": dict(subject.scenario_options),
            "processes": [record.to_json() for record in self.records],
            "scores": self.scores,
        }


class Campaign:
    """All measurements of one run. Nothing is taken from an earlier one: artifacts are cached, measurements never."""

    def __init__(self, folder: Path, tag: str, progress: Callable[[str], None]) -> None:
        self.outputs = folder / "outputs"
        self.log = folder / "measure.log"
        self.tag = tag
        self.progress = progress
        self._folder = folder
        self.series: dict[str, Series] = {}
        self.pairs: dict[tuple[str, str], list[tuple[int, int]]] = {}

    def of(self, subject: Subject) -> Series:
        """The series of a subject, empty at first."""
        return self.series.setdefault(subject.id, Series(subject))

    def reference(self, subject: Subject) -> str:
        """The name of a subject's measurement in the evidence; ``tag`` tells apart processes that share a run."""
        return f"{subject.id}-{self.tag}" if self.tag else subject.id

    def keep(self, subject: Subject) -> None:
        """Writes what was measured so far, so that a killed run loses nothing."""
        pairs = {
            self.reference(self.series[b].subject): found for (a, b), found in self.pairs.items() if a == subject.id
        }
        record = {"id": self.reference(subject), **self.of(subject).to_json(), "pairs": pairs}
        write_measurement(self._folder, record)

    def extend(self, subject: Subject, count: int) -> list[ProcessRecord]:
        """Runs fresh processes until there are ``count``; returns them all."""
        series = self.of(subject)
        if len(series.records) < count:
            with device_lock(subject.device, self.progress), self._kept(subject):
                while len(series.records) < count:
                    series.records.append(self._run(subject, len(series.records) + 1, count))
        return series.records

    def extend_pairs(self, a: Subject, b: Subject, count: int, budget_s: float) -> list[tuple[int, int]]:
        """Runs two subjects in turn (A B, B A, ...) until ``count`` undisturbed pairs are there, or time is up.

        Returns the pairs as positions in the two series. A pair counts only when neither of its processes was
        disturbed: the two are next to each other in time, so that what slows both cancels out, but what slows one
        may do so more than the other.
        """
        pairs, start, wasted = self.pairs.setdefault((a.id, b.id), []), time.monotonic(), 0
        if len(pairs) < count:
            with device_lock(a.device, self.progress), self._kept(a), self._kept(b):
                both = [self.of(subject).records for subject in (a, b)]
                while len(pairs) < count and (not wasted or time.monotonic() - start < budget_s):
                    for subject in (b, a) if (len(pairs) + wasted) % 2 else (a, b):
                        self.of(subject).records.append(self._run(subject, len(pairs) + 1, count))
                    if any(records[-1].disturbed for records in both):
                        wasted += 1
                    else:
                        pairs.append((len(both[0]) - 1, len(both[1]) - 1))
        return pairs

    @contextmanager
    def _kept(self, subject: Subject) -> Iterator[None]:
        try:
            yield
        finally:
            self.keep(subject)

    def _run(self, subject: Subject, number: int, count: int) -> ProcessRecord:
        said = f"measure {subject.recipe} {subject.scenario}: process {number} of {count}"
        self.progress(said)
        self.outputs.mkdir(parents=True, exist_ok=True)
        request = {
            "runtime": subject.runtime,
            "runtime_options": dict(subject.runtime_options),
            "scenario": subject.scenario,
            "scenario_options": dict(subject.scenario_options),
            "artifact": str(subject.artifact_path),
            "inputs": str(subject.inputs),
            "device": subject.device,
            "seconds": subject.seconds,
            "samples": subject.samples,
            "outputs": str(self.outputs / f"{self.reference(subject)}.npz"),
            **subject.origin,
        }
        answer = call_worker(
            _MODULE,
            request,
            log=self.log,
            timeout=_TIMEOUT_S,
            python=subject.interpreter.python,
            environment=subject.interpreter.environment,
            progress=lambda text: self.progress(f"{said}: {text}"),
        )
        record = ProcessRecord.from_json(answer)
        if not scenarios()[subject.scenario].timed:
            return record
        seen = [r for s in self.series.values() for r in s.records]
        return dataclasses.replace(record, disturbed=disturbance(record, best_kernel([*seen, record])))
