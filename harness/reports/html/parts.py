"""What the sections of the page hand to its template: figures with their numbers, and where these come from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from harness.core.text import plain
from harness.core.units import BYTES
from harness.evidence.text import precision_of
from harness.measure.records import Measurement, Proof

Spec = Mapping[str, Any]
_LONG = 120


@dataclass(frozen=True, slots=True)
class Table:
    """The numbers of a figure, for readers who can't see it; the first cell of a row names it."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Source:
    """Where figures come from: one measurement, its artifact, what ran it."""

    recipe: str
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Drawing:
    """A figure: its Vega-Lite ``spec``, the same in one sentence (``alt``) and in numbers, where these come from.

    ``choices`` are the values that its parameter ``chosen`` may take, each with the words for it.
    """

    name: str
    title: str
    caption: str
    alt: str
    spec: Spec
    height: int
    table: Table
    sources: tuple[Source, ...] = ()
    notes: tuple[str, ...] = ()
    choices: tuple[tuple[str, str], ...] = ()
    choose: str = ""
    wide: bool = False


def short(text: object, most: int = _LONG) -> str:
    """Text from a TOML file, safe and of a length that a figure has room for."""
    said = plain(text)
    return said if len(said) <= most else f"{said[: most - 1]}…"


def recipe_of(measurement: Measurement) -> tuple[str, str]:
    """The workload and the recipe of a measurement."""
    workload, _, recipe = measurement.recipe.partition("/")
    return workload, recipe


def source(measurement: Measurement, commit: str) -> Source:
    """The provenance of a measurement's figures."""
    return Source(plain(measurement.recipe), tuple((name, plain(said)) for name, said in _facts(measurement, commit)))


def _facts(measurement: Measurement, commit: str) -> Iterator[tuple[str, str]]:
    processes = measurement.processes
    disturbed = sum(bool(process.disturbed) for process in processes)
    yield "measurement", f"{measurement.id}, scenario {measurement.scenario}"
    yield "artifact", f"{measurement.artifact}, {BYTES.format(float(measurement.artifact_bytes))}"
    if processes:
        yield "ran on", said_proof(processes[0].proof)
        left = f", {disturbed} of them disturbed" if disturbed else ""
        yield "processes", f"{len(processes)}{left}, the first at {processes[0].started}"
    if samples := sum(len(process.samples_s) for process in processes):
        yield "samples", str(samples)
    if options := {k: v for k, v in measurement.runtime_options.items() if v is not None}:
        yield "runtime options", ", ".join(f"{name} {value}" for name, value in options.items())
    if measurement.placement:
        yield "placement", ", ".join(f"{name} {value}" for name, value in measurement.placement.items())
    if measurement.environment:
        yield "environment", measurement.environment
    for name, how in measurement.scored_with.items():
        yield f"{name} by", str(how)
    if measurement.taken_over:
        yield "taken over", f"from the stopped run {measurement.taken_over.run}"
    if commit:
        yield "promises at", f"commit {commit}"


def said_proof(proof: Proof) -> str:
    """What the runtime proved after loading, in words."""
    said = f"{proof.runtime} {proof.version} on {proof.device}{precision_of(proof)}"
    if proof.threads:
        said += f", {proof.threads} threads"
    if proof.heavy_ops:
        said += f", {proof.integer_ops or 0} of {proof.heavy_ops} heavy operations in INT8"
    return said
