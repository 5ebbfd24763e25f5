"""Where the time goes: the slowest layers, as the runtime's own profile has them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from harness.core.text import plain
from harness.core.units import TIME
from harness.evidence.model import Evidence
from harness.reports.html.parts import Source, recipe_of, short, source


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer: its time in words, and as a share (0 to 100) of the slowest."""

    name: str
    kind: str
    time: str
    share: float


@dataclass(frozen=True, slots=True)
class Profile:
    """The slowest layers of one recipe."""

    recipe: str
    layers: tuple[Layer, ...]
    total: str
    source: Source


def profiles(workload: str, evidence: Evidence) -> Iterator[Profile]:
    """Every recipe of the workload that the run looked into, once."""
    seen = set()
    for measurement in evidence.measurements:
        of, recipe = recipe_of(measurement)
        for process in measurement.processes[:1]:
            layers = process.proof.layers
            if of == workload and layers and recipe not in seen:
                seen.add(recipe)
                slowest = max(float(seconds) for _, _, seconds in layers) or 1.0
                yield Profile(
                    short(recipe, 60),
                    tuple(
                        Layer(plain(name), plain(kind), TIME.format(float(seconds)), 100 * float(seconds) / slowest)
                        for name, kind, seconds in layers
                    ),
                    TIME.format(sum(float(seconds) for _, _, seconds in layers)),
                    source(measurement, evidence.commit),
                )
