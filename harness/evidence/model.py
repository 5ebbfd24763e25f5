"""The evidence of a run, a public format (schema 2): what docs/evidence.md describes, as types.

Numbers are in base units of their dimension: seconds, bytes, joules, USD, a second's samples, requests or tokens,
shares of 1. Times are UTC in ISO 8601.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

from harness.core.attempts import COUNTED
from harness.core.codec import of_plain, plain
from harness.core.errors import Cause
from harness.core.numbers import Figure, figure
from harness.core.units import DIMENSIONS
from harness.judge.verdict import Verdict
from harness.measure.machine.detect import Detected
from harness.measure.records import Measurement
from harness.measure.sequence import Order

SCHEMA = 2


def _unknown() -> float:
    return figure(math.nan)


def _from_nothing() -> tuple[float, float]:
    return 0.0, math.inf


@dataclass(frozen=True, slots=True)
class TargetResult:
    """What was found out about one target; numbers in base units of the target's dimension, NaN where unknown.

    ``low`` and ``high`` are the bounds that the verdict used, with ``confidence`` on each side; ``n`` counts what
    ``of`` says. ``measurements`` are ids, the recipe's own first. ``notes`` are what a reader should know whatever the
    verdict; ``order`` says where the processes stood in the run, ``attempt`` how often the same artifact was held
    against the bound on this machine, ``earlier`` the verdicts of those before with how often each was given, as far
    as they are known. ``released`` are the recipes that are what was released and that the target refers to, with the
    root digests of their packages. ``cause`` says why there is no figure, where that is known; ``would_be`` is the
    verdict of an OFF_TARGET if this machine counted.
    """

    verdict: Verdict
    reason: str
    value: Figure = field(default_factory=_unknown)
    low: Figure = field(default_factory=_unknown)
    high: Figure = field(default_factory=_unknown)
    confidence: float | None = None
    n: int = 0
    of: str = ""
    artifact: str = ""
    measurements: tuple[str, ...] = ()
    remedy: str = ""
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    order: Order | None = None
    attempt: int = 1
    earlier: Mapping[str, int] = field(default_factory=dict)
    released: Mapping[str, str] = field(default_factory=dict)
    cause: Cause | None = None
    would_be: Verdict | None = None

    def __post_init__(self) -> None:
        for name in ("value", "low", "high"):
            object.__setattr__(self, name, figure(getattr(self, name)))
        object.__setattr__(self, "of", str(self.of))

    @property
    def known(self) -> bool:
        """Whether there is a figure."""
        return not math.isnan(self.value)

    @property
    def parts(self) -> dict[str, Any]:
        """The answer alone, by the names of its fields."""
        return {f.name: getattr(self, f.name) for f in fields(TargetResult)}

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, for the way from a pytest-xdist worker."""
        found: dict[str, Any] = plain(self)
        return found

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TargetResult:
        """The inverse of :meth:`to_json`."""
        return of_plain(data, TargetResult)


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetLine(TargetResult):
    """One target with its answer.

    ``bound`` is as written; ``op``, ``limit``, ``relation`` and ``versus`` are what it means. ``better`` ("lower",
    "higher"), ``ends`` (the least and the greatest score of a sample, of other metrics the range of the value) and
    ``paired`` (a score is a difference of two answers) are those of the metric, as is ``jackknife`` (scores are those
    of groups, of a figure that is not a mean). ``file``, of merged evidence, is where
    the answer came from.
    """

    id: str
    kpi: str
    workload: str
    recipe: str
    machine: str
    device: str
    metric: str
    scenario: str | None
    bound: str
    op: str
    limit: Figure
    relation: str
    versus: str | None
    unit: str
    better: str = "lower"
    ends: tuple[Figure, Figure] = field(default_factory=_from_nothing)
    paired: bool = False
    jackknife: bool = False
    usd_per_hour: float | None = None
    file: str = ""

    def __post_init__(self) -> None:
        TargetResult.__post_init__(self)
        if self.unit not in DIMENSIONS:
            raise ValueError(f'{self.id}: the unit "{self.unit}" is not one of {", ".join(DIMENSIONS)}')
        object.__setattr__(self, "limit", figure(self.limit))
        object.__setattr__(self, "ends", tuple(figure(end) for end in self.ends))

    @property
    def key(self) -> tuple[str, str, str]:
        """What names a target in every run."""
        return self.kpi, self.metric, self.bound

    @property
    def recipe_key(self) -> str:
        """The recipe as measurements name it."""
        return f"{self.workload}/{self.recipe}"


@dataclass(frozen=True, slots=True, kw_only=True)
class KpiLine:
    """One KPI; ``elsewhere`` says why it does not gate on this machine, empty where it does.

    ``other_processor`` is the processor that it was written for where that is not this one, ``usd_per_hour`` the price
    of its machine, ``against`` the KPI that its ``cost.ratio`` is about; ``first_release`` that there may be nothing
    yet that it is held against.
    """

    name: str
    workload: str
    recipe: str
    machine: str
    device: str
    description: str = ""
    elsewhere: str = ""
    other_processor: str = ""
    usd_per_hour: float | None = None
    against: str | None = None
    first_release: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadLine:
    """One workload; ``licence`` as kpis.toml says it."""

    name: str
    task: str
    fixture: str = ""
    reference: str | None = None
    licence: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedLine:
    """Somebody else's figures for a recipe: low and high by metric."""

    workload: str
    source: str
    recipe: str
    machine: str
    values: Mapping[str, tuple[float, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How sure verdicts are, and how they were reached.

    ``against`` are the exceptions allowed at each look, ``margin`` what each look keeps for drift, ``pair_drift`` the
    drift for pairs; ``scores`` and ``tails`` name how their bounds are made, empty in evidence of before.
    """

    confidence: float
    looks: tuple[int, ...]
    against: tuple[int, ...]
    margin: tuple[float, ...] = ()
    drift: float = 0.0
    pair_drift: float = 0.0
    seconds: float = 0.5
    samples: int = 50
    budget_s: float = 180.0
    attempts: str = COUNTED
    scores: str = ""
    tails: str = ""


@dataclass(frozen=True, slots=True)
class Seal:
    """SHA-256 of the file's bytes before its line ``"seal"``; with a secret key an HMAC of that, too."""

    algorithm: str
    digest: str
    hmac: str | None = None


@dataclass(frozen=True, kw_only=True)
class Known:
    """What was found: in a whole run, or so far.

    ``machine`` is the one that the suite ran on, ``reached`` are others by their names in kpis.toml.
    """

    machine: Detected
    reached: Mapping[str, Detected] = field(default_factory=dict)
    targets: Sequence[TargetLine]
    measurements: Sequence[Measurement] = ()

    def machine_of(self, name: str) -> Detected:
        """What a machine of kpis.toml was: reached, or that of the run."""
        return self.reached.get(name, self.machine)

    @cached_property
    def by_id(self) -> Mapping[str, Measurement]:
        """The measurements by their ids."""
        return {measurement.id: measurement for measurement in self.measurements}

    @cached_property
    def _by_recipe(self) -> Mapping[str, Sequence[Measurement]]:
        found: dict[str, list[Measurement]] = {}
        for measurement in self.measurements:
            found.setdefault(measurement.recipe, []).append(measurement)
        return found

    def of(self, target: TargetLine) -> list[Measurement]:
        """The measurements that a verdict rests on, the recipe's own first."""
        return [self.by_id[name] for name in target.measurements if name in self.by_id]

    def of_recipe(self, recipe: str) -> Sequence[Measurement]:
        """What was measured of a recipe, by its key."""
        return self._by_recipe.get(recipe, ())


@dataclass(frozen=True, kw_only=True)
class Evidence(Known):
    """The whole record of a run, or of several that were merged (then ``machines`` and ``problems``).

    ``kpis_digest`` is the SHA-256 of what kpis.toml says; ``commit`` the git commit, "-dirty" where files differ from
    it; ``complete`` whether the run came to its end; ``resume`` whether it went on where another was stopped.
    """

    schema: int = SCHEMA
    harness: str
    file: str
    kpis_digest: str
    commit: str
    started: str
    written: str
    release: bool = False
    complete: bool = True
    resume: bool = False
    processor_class: str = ""
    machines: Mapping[str, Detected] | None = None
    problems: tuple[str, ...] = ()
    libraries: Mapping[str, str] = field(default_factory=dict)
    plugins: Mapping[str, str] = field(default_factory=dict)
    settings: Settings
    kpis: tuple[KpiLine, ...]
    workloads: tuple[WorkloadLine, ...] = ()
    published: tuple[PublishedLine, ...] = ()
    verdicts: Mapping[str, int]
    seal: Seal | None = None

    @cached_property
    def by_kpi(self) -> Mapping[str, KpiLine]:
        """The KPIs by their names."""
        return {kpi.name: kpi for kpi in self.kpis}

    @property
    def every_machine(self) -> Mapping[str, Detected]:
        """Each machine: of merged evidence by its file; else that of the run under "", others by their names."""
        return self.machines or {"": self.machine, **self.reached}

    @property
    def digest(self) -> str:
        """What its seal says; empty where it has none."""
        return self.seal.digest if self.seal else ""

    @property
    def id(self) -> str:
        """The beginning of its digest, by which the history and people name it."""
        return self.digest[:12]


_APART = ("schema", "targets", "measurements", "seal")
HEAD = ("schema", *(f.name for f in fields(Evidence) if f.name not in _APART))
"""What the file says before its targets."""
