"""The promises of ``kpis.toml`` as frozen, typed objects."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.attempts import COUNTED, confidence_of
from harness.core.bounds import Bound, judged_in
from harness.core.data_files import DataFiles
from harness.core.placement import Placement
from harness.core.prices import Price
from harness.core.statistics import looks_for
from harness.core.units import Dimension
from harness.spec.catalog import metrics, model_files, passes, scenarios
from harness.spec.tasks import PROMPTS, resolve_scenario, tasks

if TYPE_CHECKING:
    from harness.judge.metrics.base import Metric

DEVICES = ("cpu", "gpu", "npu", "edge")
RELEASED = "package"
"""The pass that takes what was released: the only one of a recipe with a ``package``."""


@dataclass(frozen=True, slots=True)
class Machine:
    """The hardware a KPI is written for: globs and least amounts over what is detected; unset means any."""

    name: str
    device: str
    cpu: str | None = None
    gpu: str | None = None
    npu: str | None = None
    cores: Bound | None = None
    memory: Bound | None = None
    os: str | None = None
    arch: str | None = None
    price: Price | None = None
    reach: str | None = None
    """Where it is, such as ``ssh:user@host``; None for the machine that the suite runs on."""
    cool_to: float | None = None
    """How warm it may be, in °C, when a process begins; None for what all machines are told."""


@dataclass(frozen=True, slots=True)
class PassSpec:
    """A pass by name, with its validated options as plain JSON."""

    name: str
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Recipe:
    """The ordered passes that make an artifact, with the runtime that runs it."""

    workload: str
    name: str
    runtime: str
    runtime_options: Mapping[str, Any]
    passes: tuple[PassSpec, ...]
    environment: str | None = None
    reference: str | None = None
    placement: Placement = field(default_factory=Placement)
    scenarios: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    scenario_runtime: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def format(self) -> str:
        """The format of the artifact that the last pass writes."""
        return passes()[self.passes[-1].name].output_format

    @property
    def released(self) -> str:
        """Where what was released is, for a recipe that is that; else empty."""
        first = self.passes[0] if self.passes else None
        return str(first.options["package"]) if first and first.name == RELEASED else ""

    @property
    def key(self) -> str:
        """``workload/recipe``: the name in reports and file names."""
        return f"{self.workload}/{self.name}"


@dataclass(frozen=True, slots=True)
class Published:
    """Somebody else's figures for a recipe, shown as reference lines, never as ours; low and high in base units."""

    source: str
    recipe: str
    machine: str
    values: Mapping[str, tuple[float, float]]


@dataclass(frozen=True, slots=True)
class WorkloadSpec:
    """A task, the fixture that holds its model with its data, and the recipes for it."""

    name: str
    task: str
    fixture: str
    """The package that defines it; empty where it consists of files."""
    recipes: Mapping[str, Recipe]
    task_options: Mapping[str, Any] = field(default_factory=dict)
    reference: str | None = None
    checkpoint: str | None = None
    checkpoint_sha256: str | None = None
    model: str | None = None
    data: str | None = None
    allow_pickle: bool = False
    trust_remote_code: bool = False
    chat_template: str | None = None
    data_files: DataFiles | None = None
    scored: str | None = None
    constants: Mapping[str, Any] = field(default_factory=dict)
    state: Mapping[str, str] = field(default_factory=dict)
    batch_axis: Mapping[str, int] = field(default_factory=dict)
    licence: str | None = None
    published: tuple[Published, ...] = ()
    search: Mapping[str, Any] = field(default_factory=dict)
    """By name: a recipe's table as plain TOML, in which any value may be a choice or a range."""

    @property
    def model_file(self) -> str | None:
        """The file that its recipes begin with; None where they export a network."""
        if self.fixture or self.model is None:
            return None
        return self.model if Path(self.model).suffix.lower() in model_files() else None


@dataclass(frozen=True)
class Target:
    """One metric and its bound, of one KPI."""

    kpi: str
    workload: str
    recipe: str
    machine: str
    metric_name: str
    bound: Bound
    label: str

    @property
    def id(self) -> str:
        """``food11-server-cpu:p50``: the parameter in the test's name."""
        return f"{self.kpi}:{self.label}"

    @cached_property
    def key(self) -> tuple[str, str, str]:
        """What makes the target one of a kind in the ledger."""
        return (self.kpi, self.metric_name, self.bound.text)

    @property
    def metric(self) -> type[Metric]:
        """The metric's class."""
        return metrics()[self.metric_name]

    @property
    def shown_in(self) -> Dimension:
        """The dimension of the judged value: the metric's own, points for drops, a factor for ratios."""
        return judged_in(self.metric.dimension, self.bound.relation)

    @property
    def gates_everywhere(self) -> bool:
        """Whether the target holds or not whatever the machine: sizes and accuracies."""
        return not self.metric.machine_bound


@dataclass(frozen=True, slots=True)
class Kpi:
    """Targets that must hold together, for one recipe of one workload on one machine."""

    name: str
    workload: str
    recipe: str
    machine: str
    targets: tuple[Target, ...]
    description: str = ""
    against: str | None = None
    first_release: bool = False
    """Whether there may be nothing yet that it is held against."""
    marks: tuple[str, ...] = ()
    """pytest markers of one's own, without that of the machine's device."""


@dataclass(frozen=True, slots=True)
class MeasureSettings:
    """How sure a verdict must be, and how much time it may take.

    ``drift`` is how far the machine may be off, between a look and the rest of the run, without a wrong verdict.
    ``attempts`` says whether attempts at a target are only counted, or share its error. ``cool_to`` is how warm a
    machine may be, in °C, when a process begins; None for as warm as it is.
    """

    confidence: float = 0.97
    looks: tuple[int, ...] = (6, 9, 12, 16, 20, 26, 32, 40)
    drift: float = 0.02
    seconds: float = 0.5
    samples: int = 50
    budget_s: float = 180.0
    attempts: str = COUNTED
    cool_to: float | None = None

    @property
    def patience(self) -> int:
        """Two looks' worth of disturbed processes in a row, and the machine is not expected to calm down."""
        return self.looks[:2][-1]

    def confidence_at(self, attempt: int) -> float:
        """How sure a verdict must be at an attempt, from 1."""
        return confidence_of(attempt, self.confidence, self.attempts)


@dataclass(frozen=True, slots=True)
class LeastTime:
    """The fewest processes, or pairs of them, that a PASS takes, and the seconds that they take at least."""

    processes: int
    seconds: float


def joined(files: Sequence[Path]) -> bytes:
    """The content of all files that ``kpis.toml`` consists of, the main one first, each other one after its name."""
    main, *others = files
    parts = [b"\0%s\0%s" % (file.relative_to(main.parent).as_posix().encode(), file.read_bytes()) for file in others]
    return b"".join([main.read_bytes(), *parts])


@dataclass(frozen=True)
class Spec:
    """Everything that ``kpis.toml`` promises."""

    path: Path
    machines: Mapping[str, Machine]
    workloads: Mapping[str, WorkloadSpec]
    kpis: tuple[Kpi, ...]
    measure: MeasureSettings
    files: tuple[Path, ...] = ()
    """Every file that it was read from, the main one first."""
    workload_files: Mapping[str, Path] = field(default_factory=dict)
    """Of each workload, the file that its table is in."""

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the content of every file; of a single one it is that file's own."""
        return hashlib.sha256(joined(self.files or (self.path,))).hexdigest()

    @property
    def root(self) -> Path:
        """The folder that fixtures and relative paths are found from."""
        return self.path.parent

    @cached_property
    def targets(self) -> tuple[Target, ...]:
        """Every promised target, in the order of the file."""
        return tuple(target for kpi in self.kpis for target in kpi.targets)

    def scenario(self, target: Target) -> str:
        """The scenario that gives a target its figure; empty for what is read from the files."""
        return resolve_scenario(target.metric.scenario or "", self.workloads[target.workload].task)

    def with_prompts(self, file: Path) -> Spec:
        """The same promises, every language model answering the prompts in ``file``."""
        workloads = {
            name: replace(workload, data=str(file)) if tasks()[workload.task].requests in PROMPTS else workload
            for name, workload in self.workloads.items()
        }
        return replace(self, workloads=workloads)

    def with_reach(self, ways: Mapping[str, str]) -> Spec:
        """The same promises, some machines, by name, reached so."""
        found = {name: replace(one, reach=ways.get(name, one.reach)) for name, one in self.machines.items()}
        return replace(self, machines=found)

    def hourly(self, target: Target) -> float:
        """What a metric of money is multiplied by: USD an hour on the target's machine; 1 for all others."""
        return self.price(target.machine) if target.metric.priced else 1.0

    def price(self, machine: str) -> float:
        """USD an hour of a machine whose price is known to be set."""
        price = self.machines[machine].price
        if price is None:
            raise ValueError(f"machine {machine} has no price")
        return price.usd_per_hour

    def cool_to(self, machine: str) -> float | None:
        """How warm a machine may be, in °C, when a process begins; None for as warm as it is."""
        own = self.machines[machine].cool_to
        return self.measure.cool_to if own is None else own

    def least_time(self, target: Target) -> LeastTime:
        """What a PASS takes of a target whose scenario says itself how long it plays; of others nothing is known."""
        name = self.scenario(target)
        if not target.metric.per_process or name not in scenarios():
            return LeastTime(0, 0.0)
        cls, bound, names = scenarios()[name], target.bound, [target.recipe, *filter(None, [target.bound.versus])]
        options = [self.recipe(target.workload, one).scenarios.get(name, {}) for one in names]
        span_s = sum(cls(cls.Options(**one)).span_s for one in options)
        looks = looks_for(self.measure.looks, self.measure.confidence_at(1), 0.0, bound.share)
        processes = next((look.processes for look in looks if look.against >= 0), looks[-1].processes)
        return LeastTime(processes if span_s else 0, processes * span_s)

    def kpi(self, name: str) -> Kpi:
        """A KPI that is known to exist."""
        return next(kpi for kpi in self.kpis if kpi.name == name)

    def recipe(self, workload: str, name: str) -> Recipe:
        """A recipe that is known to exist."""
        return self.workloads[workload].recipes[name]

    def recipes_of(self, target: Target) -> tuple[Recipe, ...]:
        """The recipe that the target is about, then those that it is compared with."""
        names = [target.recipe]
        if target.bound.versus:
            names.append(target.bound.versus)
        found = [self.recipe(target.workload, name) for name in names]
        if target.metric.needs_reference:
            found += [reference for recipe in found if (reference := self.reference_of(recipe))]
        return tuple({recipe.name: recipe for recipe in found}.values())

    def computes_with_integers(self, recipe: Recipe) -> bool:
        """Whether a pass of the recipe makes an artifact that computes with integers, as far as its options tell."""
        steps = ((passes()[step.name], step.options) for step in recipe.passes)
        return any(cls(cls.Options(**options)).integer for cls, options in steps)

    def reference_of(self, recipe: Recipe) -> Recipe | None:
        """What the recipe's parity is held against: its own choice, or the workload's."""
        name = recipe.reference or self.workloads[recipe.workload].reference
        return self.recipe(recipe.workload, name) if name else None
