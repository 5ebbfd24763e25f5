"""Reads ``kpis.toml`` into a :class:`~harness.spec.Spec`, or says all that is wrong with it, one line each."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness import spec_schema as schema
from harness.errors import SpecError, suggest
from harness.metrics import metrics
from harness.passes import passes
from harness.passes.base import REFERENCE
from harness.placement import Placement
from harness.prices import owned, rented
from harness.runtimes import runtimes
from harness.scenarios import scenarios
from harness.search import space
from harness.spec import (
    Kpi,
    Machine,
    MeasureSettings,
    PassSpec,
    Published,
    Recipe,
    Spec,
    Target,
    WorkloadSpec,
)
from harness.spec_checks import (
    against_mistakes,
    check_promise,
    impossible,
    mark_mistakes,
    price_mistakes,
    target_labels,
)
from harness.spec_tables import Tables
from harness.targets import Promise, Relation, parse_promise
from harness.tasks import TASKS
from harness.units import BYTES, COUNT, SHARE, TIME

_MEASURES = (
    ("confidence", "confidence", SHARE),
    ("drift", "drift", SHARE),
    ("seconds", "seconds", TIME),
    ("budget", "budget_s", TIME),
)


def read_spec(path: Path) -> Spec:
    """Reads the file; SpecError holds every mistake found in it."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise SpecError([f"{path}: no such file; name one with --kpis FILE"]) from None
    except UnicodeDecodeError as error:
        raise SpecError([f"{path.name}: not UTF-8 text (byte {error.start}); save it as UTF-8"]) from None
    except OSError as error:
        raise SpecError([f"{path}: can't be read: {error.strerror}"]) from None
    try:
        data = tomllib.loads(text)
    except ValueError as error:  # TOMLDecodeError, and what int() says of 5000 digits
        raise SpecError([f"{path.name}: not valid TOML: {error}"]) from None
    except RecursionError:
        raise SpecError([f"{path.name}: tables are nested too deep"]) from None
    return _Reader(path).read(data)


def read_recipe(path: Path, workload: str, name: str, table: Mapping[str, Any]) -> Recipe:
    """A recipe from its plain table, as if it stood in the file; SpecError holds every mistake found in it."""
    reader = _Reader(path)
    made = reader.recipe(workload, name, table)
    if made is None:
        raise SpecError(reader.problems)
    return made


class _Reader(Tables):
    """Walks the tables once; mistakes are gathered, so that all are told at once."""

    def read(self, data: dict[str, Any]) -> Spec:
        root = self.table(schema.Root, data, "")
        machines: dict[str, Machine] = {}
        workloads: dict[str, WorkloadSpec] = {}
        kpis: list[Kpi] = []
        measure = MeasureSettings()
        if root is not None:
            machines = dict(self.machines(root.machine))
            workloads = dict(self.workloads(root.workload))
            measure = self.measure(root.measure)
            kpis = list(self.kpis(root, machines, workloads))
            for name, mistake in against_mistakes(kpis, machines):
                self.say(f'[[kpi]] "{name}"', mistake)
            if not root.kpi:
                self.say("", "no [[kpi]] table: nothing is promised")
        if self.problems:
            raise SpecError(self.problems)
        return Spec(self.path, machines, workloads, tuple(kpis), measure)

    def machines(self, tables: Mapping[str, Any]) -> Iterator[tuple[str, Machine]]:
        for name, data in tables.items():
            where = f"[machine.{name}]"
            table = self.table(schema.MachineTable, data, where)
            if table is None:
                # Known by name all the same, so that one mistake is told once.
                yield name, Machine(name, "cpu")
                continue
            least: dict[str, Promise | None] = {"cores": None, "memory": None}
            for key, dimension in (("cores", COUNT), ("memory", BYTES)):
                text = getattr(table, key)
                if text is not None:
                    try:
                        least[key] = made = parse_promise(text, dimension)
                        if made.relation is not Relation.VALUE:
                            raise ValueError(f'{text!r} compares recipes; write a plain bound like ">= 8"')
                    except ValueError as error:
                        self.say(where, f"{key}: {error}")
            price = None
            try:
                if isinstance(table.price, str):
                    price = rented(table.price)
                elif table.price is not None:
                    price = owned(**table.price.model_dump())
            except ValueError as error:
                self.say(where, f"price: {error}")
            yield name, Machine(**{**table.model_dump(), "name": name, **least, "price": price})

    def workloads(self, tables: Mapping[str, Any]) -> Iterator[tuple[str, WorkloadSpec]]:
        for name, data in tables.items():
            where = f"[workload.{name}]"
            table = self.table(schema.WorkloadTable, data, where)
            if table is None:
                yield name, WorkloadSpec(name, "", "", {})
                continue
            if table.task not in TASKS:
                self.say(where, f"task: {suggest(table.task, TASKS, 'task')}")
            folder = self.path.parent.joinpath(*table.fixture.split("."))
            if not _is_file(folder / "__init__.py") and not _is_file(folder.with_suffix(".py")):
                near = [f"{folder.parent.name}.{p.parent.name}" for p in folder.parent.glob("*/__init__.py")]
                self.say(where, f"fixture: {suggest(table.fixture, near, 'fixture')}")
            recipes = {
                recipe_name: recipe
                for recipe_name, recipe_data in table.recipe.items()
                if (recipe := self.recipe(name, recipe_name, recipe_data)) is not None
            }
            if table.reference is not None and table.reference not in table.recipe:
                self.say(where, f"reference: {suggest(table.reference, table.recipe, 'recipe')}")
            for recipe in recipes.values():
                if recipe.reference is not None and recipe.reference not in table.recipe:
                    here = f"[workload.{name}.recipe.{recipe.name}]"
                    self.say(here, f"reference: {suggest(recipe.reference, table.recipe, 'recipe')}")
            for template_name, template in table.search.items():
                self.searched(name, template_name, template, table.recipe)
            plain = self.sources(where, table)
            published = tuple(self.published(where, table))
            # A recipe with mistakes is still known by name.
            broken = {n: Recipe(name, n, "", {}, ()) for n in table.recipe if n not in recipes}
            yield name, WorkloadSpec(name, recipes={**recipes, **broken}, published=published, **plain)

    def sources(self, where: str, table: schema.WorkloadTable) -> dict[str, Any]:
        """The table without recipes and published figures, its paths from the TOML's folder."""
        plain = table.model_dump(exclude={"recipe", "published"})
        plain["task"] = table.task if table.task in TASKS else ""
        for key in ("checkpoint", "data", "chat_template"):
            if plain[key] is not None and (key, plain[key]) != ("chat_template", "none"):
                try:
                    plain[key] = str(self.path.parent / Path(os.path.expandvars(plain[key])).expanduser())
                except RuntimeError as error:
                    self.say(where, f"{key} = {plain[key]!r}: {error}")
        if plain["model"] is not None:
            # A folder beside the TOML, or anywhere; otherwise the name of a repository on a hub.
            folder = self.path.parent / Path(os.path.expandvars(plain["model"]))
            if _is_folder(folder) or Path(plain["model"]).is_absolute():
                plain["model"] = str(folder.resolve())
        return plain

    def searched(self, workload: str, name: str, data: object, recipes: Mapping[str, Any]) -> None:
        """Tells the mistakes of a space: in each alternative of each choice, at both ends of each range."""
        where = f"[workload.{workload}.search.{name}]"
        before = len(self.problems)
        template = space.parse(data, "", lambda place, what: self.say(f"{where} {place}".rstrip(), what))
        if len(self.problems) > before:
            return
        inner = _Reader(self.path)
        for table in space.covering(template):
            made = inner.recipe(workload, name, table, where)
            if made is not None and made.reference is not None and made.reference not in recipes:
                inner.say(where, f"reference: {suggest(made.reference, recipes, 'recipe')}")
        self.problems += dict.fromkeys(inner.problems)

    def recipe(self, workload: str, name: str, data: object, where: str = "") -> Recipe | None:
        where = where or f"[workload.{workload}.recipe.{name}]"
        table = self.table(schema.RecipeTable, data, where)
        if table is None:
            return None
        before = len(self.problems)
        runtime_name, runtime_table = self.named(table.runtime, "name", where, "runtime")
        runtime_options: dict[str, Any] | None = None
        if runtime_name is not None and runtime_name not in runtimes():
            self.say(where, f"runtime: {suggest(runtime_name, runtimes(), 'runtime')}")
        elif runtime_name is not None:
            runtime_options = self.options(runtimes()[runtime_name], runtime_table, f"{where} runtime")
        made, steps = self.passes(where, table.passes)
        if made and runtime_name and runtime_name in runtimes() and made not in runtimes()[runtime_name].runs:
            runs = " or ".join(sorted(runtimes()[runtime_name].runs))
            self.say(where, f'runtime "{runtime_name}" runs {runs}, but the passes make {made}')
        settings, overrides = self.scenario_tables(
            where, table, None if runtime_options is None else runtime_name, runtime_table
        )
        if table.environment is not None and not self.environment(table.environment):
            known = {p.stem for folder in self.environment_folders() for p in folder.glob("*.txt")}
            self.say(where, f"environment: {suggest(table.environment, known, 'environment')}")
        placement = Placement()
        try:
            cores = (table.cores,) if isinstance(table.cores, str) else tuple(table.cores)
            placement = Placement(cores, table.numa_node, table.instances or max(1, len(cores)))
        except ValueError as error:
            self.say(where, str(error))
        if len(self.problems) > before or runtime_name is None or runtime_options is None:
            return None
        return Recipe(
            workload,
            name,
            runtime_name,
            runtime_options,
            tuple(steps),
            table.environment,
            table.reference,
            placement,
            settings,
            overrides,
        )

    def passes(self, where: str, entries: Sequence[schema.PassTable]) -> tuple[str, list[PassSpec]]:
        """The format that the passes make ("" when one is wrong), and the passes."""
        made = REFERENCE
        steps: list[PassSpec] = []
        for index, entry in enumerate(entries):
            here = f"{where} passes[{index}]"
            pass_name, pass_table = self.named(entry, "pass", here, "pass")
            if pass_name is None or pass_name not in passes():
                if pass_name is not None:
                    self.say(here, suggest(pass_name, passes(), "pass"))
                made = ""
                continue
            cls = passes()[pass_name]
            if made and made not in cls.takes:
                took = " or ".join(sorted(cls.takes))
                self.say(here, f'pass "{pass_name}" reads {took}, but what comes before it is {made}')
            made = cls.makes
            steps.append(PassSpec(pass_name, self.options(cls, pass_table, f"{here} ({pass_name})") or {}))
        return made, steps

    def scenario_tables(
        self, where: str, table: schema.RecipeTable, runtime: str | None, runtime_table: Mapping[str, Any]
    ) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
        """The options per scenario, and the runtime's options where a scenario overrides them."""
        settings: dict[str, dict[str, Any]] = {}
        overrides: dict[str, dict[str, Any]] = {}
        for name, data in table.scenario.items():
            here = f"{where} scenario.{name}"
            if name not in scenarios():
                self.say(here, suggest(name, scenarios(), "scenario"))
                continue
            plain = dict(data)
            override = plain.pop("runtime", None)
            settings[name] = self.options(scenarios()[name], plain, here) or {}
            if override is not None:
                if not isinstance(override, dict):
                    self.say(here, "runtime must be a table of the runtime's options")
                    continue
                if runtime is None or runtime not in runtimes():
                    continue
                merged = self.options(runtimes()[runtime], {**runtime_table, **override}, f"{here} runtime")
                overrides[name] = merged or {}
        return settings, overrides

    def environment_folders(self) -> tuple[Path, ...]:
        from harness.environments import FOLDER

        return (self.path.parent / "environments", FOLDER)

    def environment(self, name: str) -> bool:
        return any(name == p.stem for folder in self.environment_folders() for p in folder.glob("*.txt"))

    def published(self, where: str, table: schema.WorkloadTable) -> Iterator[Published]:
        for index, data in enumerate(table.published):
            here = f"{where} published[{index}]"
            line = self.table(schema.PublishedTable, data, here)
            if line is None:
                continue
            values: dict[str, tuple[float, float]] = {}
            for metric, text in line.values.items():
                if metric not in metrics():
                    self.say(here, suggest(metric, metrics(), "metric"))
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
        table = self.table(schema.MeasureTable, data if data is not None else {}, "[measure]")
        if table is None:
            return default
        chosen: dict[str, Any] = {}
        for key, field, dimension in _MEASURES:
            text = getattr(table, key)
            if text is not None:
                try:
                    chosen[field] = dimension.parse(text)
                except ValueError as error:
                    self.say("[measure]", f"{key}: {error}")
        if table.samples is not None:
            chosen["samples"] = table.samples
        if table.looks is not None:
            chosen["looks"] = tuple(table.looks)
        settings = MeasureSettings(**chosen)
        if wrong := impossible(settings):
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
            table = self.table(schema.KpiTable, data, where)
            if table is None:
                continue
            if table.name in seen:
                self.say(where, "the name stands twice; each KPI needs its own")
            seen.add(table.name)
            if table.machine not in machines:
                self.say(where, f"machine: {suggest(table.machine, machines, 'machine')}")
            if table.workload not in workloads:
                self.say(where, f"workload: {suggest(table.workload, workloads, 'workload')}")
                continue
            workload = workloads[table.workload]
            if table.recipe not in workload.recipes:
                self.say(where, f"recipe: {suggest(table.recipe, workload.recipes, 'recipe')}")
                continue
            for mistake in (*price_mistakes(table, root.machine.get(table.machine)), *mark_mistakes(table.marks)):
                self.say(where, mistake)
            targets = tuple(self.targets(where, table, workload))
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

    def targets(self, where: str, table: schema.KpiTable, workload: WorkloadSpec) -> Iterator[Target]:
        promises: list[tuple[str, Promise]] = []
        for name, texts in table.targets.items():
            if name not in metrics():
                self.say(where, suggest(name, metrics(), "metric"))
                continue
            if not texts:
                self.say(where, f"{name}: an empty list promises nothing")
            for text in [texts] if isinstance(texts, str) else texts:
                try:
                    promise = parse_promise(text, metrics()[name].dimension)
                    check_promise(metrics()[name], promise, table.recipe, workload)
                except ValueError as error:
                    self.say(where, f"{name}: {error}")
                    continue
                if (name, promise.text) in [(n, p.text) for n, p in promises]:
                    self.say(where, f"{name}: {text!r} stands twice")
                promises.append((name, promise))
        for (name, promise), label in zip(promises, target_labels(promises), strict=True):
            yield Target(table.name, table.workload, table.recipe, table.machine, name, promise, label)


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
