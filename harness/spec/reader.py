"""Reads ``kpis.toml`` into a :class:`~harness.spec.model.Spec`, or says all that is wrong with it, one line each."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.core import registry
from harness.core.bounds import Bound, Relation, parse_bound
from harness.core.errors import KpiError, SpecError, suggest
from harness.core.own_metrics import own_metric
from harness.core.prices import Price, owned, rented
from harness.core.units import BYTES, COUNT, SHARE, TEMPERATURE, TIME
from harness.spec import schema
from harness.spec.catalog import metrics, passes, runtimes, scenarios
from harness.spec.checks import (
    check_bound,
    impossible,
    kpi_mistakes,
    mark_mistakes,
    price_mistakes,
    share_mistake,
    target_labels,
)
from harness.spec.hints import unknown_metric
from harness.spec.model import Kpi, Machine, MeasureSettings, Recipe, Spec, Target, WorkloadSpec
from harness.spec.reaching import reach_mistake
from harness.spec.sources import Sources, plugin_folder, read_sources
from harness.spec.tasks import tasks
from harness.spec.workloads import Workloads, is_file

_MEASURES = (
    ("confidence", "confidence", SHARE),
    ("drift", "drift", SHARE),
    ("seconds", "seconds", TIME),
    ("budget", "budget_s", TIME),
)
_COLDEST, _HOTTEST = 10, 110
"""°C: no machine cools further by waiting, and none computes hotter."""


def read_spec(path: Path) -> Spec:
    """Reads the file; SpecError holds every mistake found in it."""
    reader = _Reader(path)
    sources = reader.sources = read_sources(path, reader.problems.append)
    return reader.read(sources)


def read_recipe(path: Path, workload: str, name: str, table: Mapping[str, Any], model: str | None = None) -> Recipe:
    """A recipe from its plain table, as if it were in the file; SpecError holds every mistake found in it.

    ``model`` is the file that the workload's recipes begin with, where there is one.
    """
    reader = _Reader(path)
    if model is not None:
        reader.models[workload] = (os.path.relpath(model, path.resolve().parent), None)
    made = reader.recipe(workload, name, table)
    if made is None:
        raise SpecError(reader.problems)
    return made


class _Reader(Workloads):
    """Walks the tables once; mistakes are gathered, so that all are told at once.

    ``unread`` are workloads whose recipes are not known, ``unpriced`` machines whose price is not, ``unread_metrics``
    have mistakes: what follows from that is not told as a mistake of its own.
    """

    def __init__(self, path: Path, sources: Sources | None = None) -> None:
        super().__init__(path, sources)
        self.unpriced: set[str] = set()
        self.unread_metrics: set[str] = set()

    def read(self, sources: Sources) -> Spec:
        registry.use(())
        root = self.table(schema.Root, _kpis_meant(sources.data), "")
        if root is not None and not root.wrong("plugins"):
            before = len(self.problems)
            self.plugins(root.plugins)
            if len(self.problems) > before:
                # What they would have brought is unknown: no mistake that follows from that is one.
                raise SpecError(self.problems)
        machines: dict[str, Machine] = {}
        workloads: dict[str, WorkloadSpec] = {}
        kpis: list[Kpi] = []
        measure = MeasureSettings()
        if root is not None:
            self.own_metrics(root.metric)
            machines = dict(self.machines(root.machine))
            workloads = dict(self.workloads(root.workload))
            measure = self.measure(root.measure)
            kpis = list(self.kpis(root, machines, workloads))
            for target in (target for kpi in kpis for target in kpi.targets):
                if wrong := share_mistake(target.bound, measure):
                    self.say(f'[[kpi]] "{target.kpi}"', f"{target.metric_name}: {wrong}", "targets", target.metric_name)
            priced = {name: machine for name, machine in machines.items() if name not in self.unpriced}
            for name, mistake in kpi_mistakes(kpis, priced, workloads):
                self.say(f'[[kpi]] "{name}"', mistake)
            if not root.kpi and not root.wrong("kpi"):
                self.say("", "no [[kpi]] table: nothing is promised")
        if self.problems:
            raise SpecError(self.problems)
        files = tuple(source.path for source in sources.files)
        places = {name: sources.locate(("workload", name))[0].path for name in workloads}
        return Spec(self.path, machines, workloads, tuple(kpis), measure, files, places)

    def plugins(self, names: Sequence[str]) -> None:
        """From here on the packages next to the file are known; what they bring is checked before anything uses it."""
        found = []
        for name in dict.fromkeys(names):
            folder = plugin_folder(self.path, name)
            if not is_file(folder / "__init__.py"):
                near = [p.parent.name for p in self.path.parent.glob("*/__init__.py")]
                what = f"{suggest(name, near, 'package')}; a package is a folder with an __init__.py"
                self.say("", f"plugins: {what}", "plugins")
                continue
            found.append(registry.Plugin(name, folder))
        try:
            registry.use(found)
            tasks(), metrics(), passes(), runtimes(), scenarios()
        except KpiError as error:
            registry.use(())
            if not found:
                raise
            self.say("", f"plugins: {error}", "plugins")

    def own_metrics(self, tables: Mapping[str, Any]) -> None:
        """From here on the metrics that the project wrote as functions are known too."""
        found = []
        for name, data in tables.items():
            where = self.at(f'[metric."{name}"]', "metric", name)
            table = self.table(schema.MetricTable, data, where)
            self.unread_metrics.add(name)
            if table is None or table.wrong("function"):
                continue
            if name in metrics():
                self.say(where, f"there is a metric {name} already; choose another name")
                continue
            source, _ = self.sources.locate(("metric", name)) if self.sources else (None, ())
            folder = (source.path if source else self.path).resolve().parent
            try:
                found.append(own_metric(name, table.model_dump(), folder))
            except ValueError as error:
                self.say(where, str(error))
                continue
            self.unread_metrics.discard(name)
            if not is_file(found[-1].file):
                self.say(where, f"function: there is no file {found[-1].file.name} next to this file", "function")
        registry.use(registry.project_plugins(), found)

    def machines(self, tables: Mapping[str, Any]) -> Iterator[tuple[str, Machine]]:
        for name, data in tables.items():
            where = self.at(f"[machine.{name}]", "machine", name)
            table = self.table(schema.MachineTable, data, where)
            if table is None:
                # Known by name all the same, so that one mistake is told once.
                self.unpriced.add(name)
                yield name, Machine(name, "cpu")
                continue
            least: dict[str, Bound | None] = {"cores": None, "memory": None}
            for key, dimension in (("cores", COUNT), ("memory", BYTES)):
                text = getattr(table, key)
                if text is not None:
                    try:
                        least[key] = made = parse_bound(text, dimension)
                        if made.relation is not Relation.VALUE:
                            raise ValueError(f'{text!r} compares recipes; write a plain bound like ">= 8"')
                    except ValueError as error:
                        self.say(where, f"{key}: {error}")
            if table.reach is not None and (wrong := reach_mistake(table.reach)):
                self.say(where, f"reach: {wrong}", "reach")
            price = self.price(name, table)
            yield (
                name,
                Machine(
                    **{
                        **table.model_dump(),
                        "name": name,
                        **least,
                        "price": price,
                        "cool_to": self.cool_to(table, where),
                    }
                ),
            )

    def cool_to(self, table: schema.MachineTable | schema.MeasureTable, where: str) -> float | None:
        """How warm a machine may be when a process begins, in °C."""
        if table.cool_to is None:
            return None
        try:
            if not _COLDEST <= (celsius := TEMPERATURE.parse(table.cool_to)) <= _HOTTEST:
                raise ValueError(f"must be from {_COLDEST} °C to {_HOTTEST} °C, not {table.cool_to.strip()!r}")
        except ValueError as error:
            self.say(where, f"cool_to: {error}", "cool_to")
            return None
        return celsius

    def price(self, name: str, table: schema.MachineTable) -> Price | None:
        """What the machine costs; None where the table does not say, or has a mistake there."""
        if table.wrong("price"):
            self.unpriced.add(name)
        try:
            if isinstance(table.price, str):
                return rented(table.price)
            return None if table.price is None else owned(**table.price.model_dump())
        except ValueError as error:
            self.unpriced.add(name)
            self.say(f"[machine.{name}]", f"price: {error}")
            return None

    def measure(self, data: object) -> MeasureSettings:
        default = MeasureSettings()
        table = self.table(schema.MeasureTable, data if data is not None else {}, self.at("[measure]", "measure"))
        if table is None:
            return default
        chosen: dict[str, Any] = {}
        for key, field, dimension in _MEASURES:
            text = getattr(table, key)
            if text is not None:
                try:
                    chosen[field] = dimension.parse(text)
                except ValueError as error:
                    self.say("[measure]", f"{key}: {error}", key)
        if table.samples is not None:
            chosen["samples"] = table.samples
        if table.attempts is not None:
            chosen["attempts"] = table.attempts
        chosen["cool_to"] = self.cool_to(table, "[measure]")
        if table.looks is not None:
            chosen["looks"] = tuple(table.looks)
        settings = MeasureSettings(**chosen)
        if not any(map(table.wrong, schema.MeasureTable.model_fields)) and (wrong := impossible(settings)):
            self.say("[measure]", wrong)
            return default
        return settings

    def kpis(
        self, root: schema.Root, machines: Mapping[str, Machine], workloads: Mapping[str, WorkloadSpec]
    ) -> Iterator[Kpi]:
        seen: set[str] = set()
        for index, data in enumerate(root.kpi):
            name = data.get("name") if isinstance(data, dict) else None
            where = f'[[kpi]] "{name}"' if isinstance(name, str) else f"[[kpi]] number {index + 1}"
            self.at(where, "kpi", index)
            table = self.table(schema.KpiTable, data, where)
            if table is None:
                continue
            if table.name in seen and not table.wrong("name"):
                self.say(where, "duplicate KPI name; names must be unique")
            seen.add(table.name)
            if table.machine not in machines and not table.wrong("machine"):
                self.say(where, f"machine: {suggest(table.machine, machines, 'machine')}", "machine")
            if table.workload not in workloads and not table.wrong("workload"):
                self.say(where, f"workload: {suggest(table.workload, workloads, 'workload')}", "workload")
            workload = None if table.workload in self.unread else workloads.get(table.workload)
            if workload is not None and table.recipe not in workload.recipes and not table.wrong("recipe"):
                self.say(where, f"recipe: {suggest(table.recipe, workload.recipes, 'recipe')}", "recipe")
            for mistake in (*price_mistakes(table, root.machine.get(table.machine)), *mark_mistakes(table.marks)):
                self.say(where, mistake)
            targets = tuple(self.targets(where, table, workload))
            if table.wrong("name"):
                continue
            yield Kpi(
                table.name,
                table.workload,
                table.recipe,
                table.machine,
                targets,
                table.description,
                table.against,
                table.first_release,
                tuple(dict.fromkeys(table.marks)),
            )

    def unknown(self, where: str, name: str, workload: WorkloadSpec | None) -> None:
        """Tells a metric that there is none of; one whose own table has a mistake is not told twice."""
        if name not in self.unread_metrics:
            self.say(where, unknown_metric(name, workload.task if workload else ""), "targets", name)

    def targets(self, where: str, table: schema.KpiTable, workload: WorkloadSpec | None) -> Iterator[Target]:
        """The targets of a KPI; of a workload that is not known only names and bounds are checked."""
        promises: list[tuple[str, Bound]] = []
        for name, texts in table.targets.items():
            if not name and table.wrong("targets"):
                continue
            if name not in metrics():
                self.unknown(where, name, workload)
                continue
            if not texts:
                self.say(where, f"{name}: an empty list promises nothing", "targets", name)
            for text in [texts] if isinstance(texts, str) else texts:
                try:
                    bound = parse_bound(text, metrics()[name].dimension)
                    if workload is not None:
                        check_bound(metrics()[name], bound, table.recipe, workload)
                except ValueError as error:
                    self.say(where, f"{name}: {error}", "targets", name)
                    continue
                if (name, bound.text) in [(n, p.text) for n, p in promises]:
                    self.say(where, f"{name}: {text!r} is there twice", "targets", name)
                promises.append((name, bound))
        for (name, bound), label in zip(promises, target_labels(promises), strict=True):
            yield Target(table.name, table.workload, table.recipe, table.machine, name, bound, label)


def _kpis_meant(data: dict[str, Any]) -> dict[str, Any]:
    """``[[kpis]]`` followed by ``[kpi.targets]``: these targets are those of its last table."""
    kpi = data.get("kpi")
    lists = [key for key in data if key not in schema.Root.model_fields and isinstance(data[key], list)]
    if not isinstance(kpi, dict) or len(lists) != 1 or not all(isinstance(table, dict) for table in data[lists[0]]):
        return data
    *before, last = data[lists[0]] or [{}]
    return {**{key: value for key, value in data.items() if key != "kpi"}, lists[0]: [*before, {**last, **kpi}]}
