"""The machine, the libraries and the settings of a run, as pairs of words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from harness.core.text import plain
from harness.core.units import TIME
from harness.evidence.model import Evidence
from harness.measure.machine.detect import Detected, cores_of, heat_of, memory_of

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Head:
    """What is at the top of the page; ``problems`` are why merged evidence is not green."""

    cpu: str
    cores: int
    started: str
    commit: str
    release: bool
    problems: tuple[str, ...]


def head(evidence: Evidence) -> Head:
    """Where, when, and of what the run was."""
    machine = evidence.machine
    return Head(
        plain(machine.cpu),
        int(machine.cores),
        plain(evidence.started),
        plain(evidence.commit or ""),
        bool(evidence.release),
        tuple(plain(problem) for problem in evidence.problems),
    )


def machines(evidence: Evidence) -> list[tuple[str, Pairs]]:
    """The machine of the run, and those that were reached; of merged evidence each, under the name of its file."""
    return [(plain(name), tuple(_machine(machine))) for name, machine in evidence.every_machine.items()]


def _machine(machine: Detected) -> Iterator[tuple[str, str]]:
    yield "processor", f"{plain(machine.cpu)}, {plain(cores_of(machine))}"
    if machine.memory:
        yield "memory", plain(memory_of(machine))
    for what in ("gpus", "npus"):
        if found := getattr(machine, what):
            yield what, plain(", ".join(found))
    for what, key in (("system", "os"), ("architecture", "arch"), ("governor", "governor"), ("Python", "python")):
        if said := getattr(machine, key):
            yield what, plain(said)
    if machine.instructions:
        yield "instructions", plain(", ".join(machine.instructions))
    if heat := heat_of(machine):
        yield "heat", plain(heat)
    if machine.boot:
        yield "boot", plain(machine.boot)


def libraries(evidence: Evidence) -> Pairs:
    """Installed versions."""
    return tuple((plain(name), plain(version)) for name, version in evidence.libraries.items())


def run(evidence: Evidence) -> Pairs:
    """How the run was called and what it promised."""
    return tuple((name, plain(said)) for name, said in _run(evidence) if said)


def _run(evidence: Evidence) -> Iterator[tuple[str, str]]:
    settings = evidence.settings
    yield "KPIs", f"{evidence.file}, SHA-256 {evidence.kpis_digest}"
    yield "commit", evidence.commit
    yield "harness", evidence.harness
    yield "started", evidence.started
    yield "written", evidence.written
    yield "judged", "as a release: only PASS is green" if evidence.release else "as a usual run"
    yield "complete", "" if evidence.complete else "no: the run was stopped"
    yield "confidence", f"{100 * settings.confidence:g} %"
    yield "looks", ", ".join(map(str, settings.looks)) + " processes"
    yield "of each process", f"{TIME.format(settings.seconds)}, {settings.samples} samples at least"
    if seal := evidence.seal:
        yield "seal", f"{seal.algorithm} {seal.digest}"
