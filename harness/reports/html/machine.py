"""The machine, the libraries and the settings of a run, as pairs of words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from harness.core.text import plain
from harness.core.units import TIME
from harness.measure.machine.detect import cores_of, heat_of, memory_of

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


def head(evidence: Mapping[str, Any]) -> Head:
    """Where, when, and of what the run was."""
    machine = evidence["machine"]
    return Head(
        plain(machine["cpu"]),
        int(machine["cores"]),
        plain(evidence.get("started", "")),
        plain(evidence["commit"] or ""),
        bool(evidence.get("release")),
        tuple(plain(problem) for problem in evidence.get("problems", ())),
    )


def machines(evidence: Mapping[str, Any]) -> list[tuple[str, Pairs]]:
    """The machine of the run; of merged evidence each machine, under the name of its file."""
    named = evidence.get("machines") or {"": evidence["machine"]}
    return [(plain(name), tuple(_machine(machine))) for name, machine in named.items()]


def _machine(machine: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "processor", f"{plain(machine['cpu'])}, {plain(cores_of(machine))}"
    if machine.get("memory"):
        yield "memory", plain(memory_of(machine))
    for what in ("gpus", "npus"):
        if machine.get(what):
            yield what, plain(", ".join(map(str, machine[what])))
    for what, key in (("system", "os"), ("architecture", "arch"), ("governor", "governor"), ("Python", "python")):
        if machine.get(key):
            yield what, plain(machine[key])
    if machine.get("instructions"):
        yield "instructions", plain(", ".join(machine["instructions"]))
    if heat := heat_of(machine):
        yield "heat", plain(heat)
    if machine.get("boot"):
        yield "boot", plain(machine["boot"])


def libraries(evidence: Mapping[str, Any]) -> Pairs:
    """Installed versions."""
    return tuple((plain(name), plain(version)) for name, version in (evidence.get("libraries") or {}).items())


def run(evidence: Mapping[str, Any]) -> Pairs:
    """How the run was called and what it promised."""
    return tuple((name, plain(said)) for name, said in _run(evidence) if said)


def _run(evidence: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    settings = evidence.get("settings") or {}
    yield "promises", f"{evidence.get('file', '')}, SHA-256 {evidence['promises']}"
    yield "commit", str(evidence["commit"])
    yield "harness", str(evidence.get("harness", ""))
    yield "started", str(evidence.get("started", ""))
    yield "written", str(evidence.get("written", ""))
    yield "judged", "as a release: only PASS is green" if evidence.get("release") else "as a usual run"
    yield "complete", "" if evidence.get("complete", True) else "no: the run was stopped"
    if settings:
        yield "confidence", f"{100 * settings['confidence']:g} %"
        yield "looks", ", ".join(map(str, settings["looks"])) + " processes"
        yield "of each process", f"{TIME.format(float(settings['seconds']))}, {settings['samples']} samples at least"
    if seal := evidence.get("seal"):
        yield "seal", f"{seal['algorithm']} {seal['digest']}"
