"""Reads ``kpis.toml`` into a :class:`~harness.spec.model.Spec`, or says all that is wrong with it, one line each."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.core import registry
from harness.core.bounds import Bound, Relation, parse_bound
from harness.core.errors import KpiError, SpecError, suggest
from harness.core.prices import Price, owned, rented
from harness.core.units import BYTES, COUNT, SHARE, TIME
from harness.spec import schema
from harness.spec import search_space as space
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
from harness.spec.hints import unknown_metric, unknown_task
from harness.spec.model import Kpi, Machine, MeasureSettings, Published, Recipe, Spec, Target, WorkloadSpec
from harness.spec.recipes import Recipes
from harness.spec.sources import Sources, plugin_folder, read_sources
from harness.spec.tasks import tasks

_MEASURES = (
    ("confidence", "confidence", SHARE),
    ("drift", "drift", SHARE),
    ("seconds", "seconds", TIME),
    ("budget", "budget_s", TIME),
)


def read_spec(path: Path) -> Spec:
    """Reads the file; SpecError holds every mistake found in it."""
    reader = _Reader(path)
    sources = reader.sources = read_sources(path, reader.problems.append)
    return reader.read(sources)


def read_recipe(path: Path, workload: str, name: str, table: Mapping[str, Any]) -> Recipe:
    """A recipe from its plain table, as if it stood in the file; SpecError holds every mistake found in it."""
    reader = _Reader(path)
    made = reader.recipe(workload, name, table)
    if made is None:
        raise SpecError(reader.problems)
    return made


class _Reader(Recipes):
    """Walks the tables once; mistakes are gathered, so that all are told at once.

    ``unread`` are workloads whose recipes are not known, ``unpriced`` machines whose price is not: what follows from
    that is not told as a mistake of its own.
    """

    def __init__(self, path: Path, sources: Sources | None = None) -> None:
        super().__init__(path, sources)
        self.unread: set[str] = set()
        self.unpriced: set[str] = set()

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
            if not _is_file(folder / "__init__.py"):
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
            price = self.price(name, table)
            yield name, Machine(**{**table.model_dump(), "name": name, **least, "price": price})

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

    def workloads(self, tables: Mapping[str, Any]) -> Iterator[tuple[str, WorkloadSpec]]:
        for name, data in tables.items():
            where = self.at(f"[workload.{name}]", "workload", name)
            table = self.table(schema.WorkloadTable, data, where)
            if table is None or table.wrong("recipe"):
                self.unread.add(name)
            if table is None:
                yield name, WorkloadSpec(name, "", "", {})
                continue
            if table.task not in tasks() and not table.wrong("task"):
                self.say(where, f"task: {unknown_task(table.task)}", "task")
            folder = self.path.parent.joinpath(*table.fixture.split("."))
            there = _is_file(folder / "__init__.py") or _is_file(folder.with_suffix(".py"))
            if not there and not table.wrong("fixture"):
                near = [f"{folder.parent.name}.{p.parent.name}" for p in folder.parent.glob("*/__init__.py")]
                self.say(where, f"fixture: {suggest(table.fixture, near, 'fixture')}", "fixture")
            recipes = {
                recipe_name: recipe
                for recipe_name, recipe_data in table.recipe.items()
                if (recipe := self.recipe(name, recipe_name, recipe_data)) is not None
            }
            known = name not in self.unread
            if known and table.reference is not None and table.reference not in table.recipe:
                self.say(where, f"reference: {suggest(table.reference, table.recipe, 'recipe')}", "reference")
            for recipe in recipes.values():
                if known and recipe.reference is not None and recipe.reference not in table.recipe:
                    here = f"[workload.{name}.recipe.{recipe.name}]"
                    self.say(here, f"reference: {suggest(recipe.reference, table.recipe, 'recipe')}")
            for template_name, template in table.search.items():
                self.searched(name, template_name, template, table.recipe)
            plain = self.located(where, table, self.folder(name))
            published = tuple(self.published(where, name, table, plain["task"]))
            # A recipe with mistakes is still known by name.
            broken = {n: Recipe(name, n, "", {}, ()) for n in table.recipe if n not in recipes}
            yield name, WorkloadSpec(name, recipes={**recipes, **broken}, published=published, **plain)

    def located(self, where: str, table: schema.WorkloadTable, folder: Path) -> dict[str, Any]:
        """The table without recipes and published figures, its paths from ``folder``."""
        plain = table.model_dump(exclude={"recipe", "published"})
        plain["task"] = table.task if table.task in tasks() else ""
        for key in ("checkpoint", "data", "chat_template"):
            if plain[key] is not None and (key, plain[key]) != ("chat_template", "none"):
                try:
                    plain[key] = str(folder / Path(os.path.expandvars(plain[key])).expanduser())
                except RuntimeError as error:
                    self.say(where, f"{key} = {plain[key]!r}: {error}")
        if plain["model"] is not None:
            # A folder next to the TOML, or anywhere; otherwise the name of a repository on a hub.
            model = folder / Path(os.path.expandvars(plain["model"]))
            if _is_folder(model) or Path(plain["model"]).is_absolute():
                plain["model"] = str(model.resolve())
        return plain

    def searched(self, workload: str, name: str, data: object, recipes: Mapping[str, Any]) -> None:
        """Tells the mistakes of a space: in each alternative of each choice, at both ends of each range."""
        where = self.at(f"[workload.{workload}.search.{name}]", "workload", workload, "search", name)
        before = len(self.problems)
        template = space.parse(data, "", lambda place, what: self.say(f"{where} {place}".rstrip(), what))
        if len(self.problems) > before:
            return
        inner = _Reader(self.path, self.sources)
        for table in space.covering(template):
            made = inner.recipe(workload, name, table, where)
            if made is not None and made.reference is not None and made.reference not in recipes:
                inner.say(where, f"reference: {suggest(made.reference, recipes, 'recipe')}")
        self.problems += dict.fromkeys(inner.problems)

    def published(self, where: str, workload: str, table: schema.WorkloadTable, task: str) -> Iterator[Published]:
        for index, data in enumerate(table.published):
            here = self.at(f"{where} published[{index}]", "workload", workload, "published", index)
            line = self.table(schema.PublishedTable, data, here)
            if line is None:
                continue
            values: dict[str, tuple[float, float]] = {}
            for metric, text in line.values.items():
                if metric not in metrics():
                    self.say(here, unknown_metric(metric, task))
                    continue
                try:
                    low, _, high = text.partition("..")
                    parse = metrics()[metric].dimension.parse
                    values[metric] = (parse(low), parse(high or low))
                except ValueError as error:
                    self.say(here, f"{metric}: {error}")
            yield Published(line.source, line.recipe, line.machine, values)

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
                tuple(dict.fromkeys(table.marks)),
            )

    def targets(self, where: str, table: schema.KpiTable, workload: WorkloadSpec | None) -> Iterator[Target]:
        """The targets of a KPI; of a workload that is not known only names and bounds are checked."""
        promises: list[tuple[str, Bound]] = []
        for name, texts in table.targets.items():
            if not name and table.wrong("targets"):
                continue
            if name not in metrics():
                self.say(where, unknown_metric(name, workload.task if workload else ""), "targets", name)
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


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name longer than any file's
        return False
