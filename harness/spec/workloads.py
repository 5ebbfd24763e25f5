"""Reads the workloads of ``kpis.toml``: task, model, data, recipes, spaces, published figures."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from harness.core.errors import suggest
from harness.spec import schema
from harness.spec import search_space as space
from harness.spec.catalog import metrics
from harness.spec.data_table import data_files, ends_as_file, file_mistakes, is_network, placed
from harness.spec.hints import unknown_metric, unknown_task
from harness.spec.model import Published, Recipe, WorkloadSpec
from harness.spec.recipes import Recipes
from harness.spec.sources import Sources
from harness.spec.tasks import tasks


class Workloads(Recipes):
    """The workloads of one file; ``unread`` are those whose recipes are not known."""

    def __init__(self, path: Path, sources: Sources | None = None) -> None:
        super().__init__(path, sources)
        self.unread: set[str] = set()

    def workloads(self, tables: Mapping[str, Any]) -> Iterator[tuple[str, WorkloadSpec]]:
        for name, data in tables.items():
            where = self.at(f"[workload.{name}]", "workload", name)
            table = self.table(schema.WorkloadTable, data, where)
            if table is None or table.wrong("recipe"):
                self.unread.add(name)
            if table is None:
                yield name, WorkloadSpec(name, "", "", {})
                continue
            chosen = self.task(where, table)
            self.origin(where, name, table)
            recipes = {
                recipe_name: recipe
                for recipe_name, recipe_data in table.recipe.items()
                if (recipe := self.recipe(name, recipe_name, recipe_data)) is not None
            }
            if name not in self.unread:
                self.references(where, name, table, recipes)
            for template_name, template in table.search.items():
                self.searched(name, template_name, template, table.recipe)
            plain = self.located(where, table, self.folder(name)) | {"task_options": chosen}
            published = tuple(self.published(where, name, table, plain["task"]))
            # A recipe with mistakes is still known by name.
            broken = {n: Recipe(name, n, "", {}, ()) for n in table.recipe if n not in recipes}
            yield name, WorkloadSpec(name, recipes={**recipes, **broken}, published=published, **plain)

    def task(self, where: str, table: schema.WorkloadTable) -> dict[str, Any]:
        """The settings of the workload's task; empty where there are mistakes."""
        if table.wrong("task"):
            return {}
        name, given = self.named(table.task, "name", where, "task")
        if name is not None and name not in tasks():
            self.say(where, f"task: {unknown_task(name)}", "task")
        if name is None or name not in tasks():
            return {}
        return self.options(tasks()[name].options, given, f"{where} task") or {}

    def origin(self, where: str, name: str, table: schema.WorkloadTable) -> None:
        """Where the model comes from: a fixture, or a file that recipes begin with."""
        if table.fixture is not None:
            self.fixture(where, table.fixture)
        folder = self.folder(name)
        for key, mistake in file_mistakes(table, folder):
            self.say(where, mistake, *([key] if key else []))
        if table.fixture is not None or table.model is None or table.wrong("fixture"):
            return
        if not is_network(table.model, folder):
            self.models[name] = (self.from_root(table.model, name), table.model_sha256)

    def references(self, where: str, name: str, table: schema.WorkloadTable, recipes: Mapping[str, Recipe]) -> None:
        """Tells references that name no recipe."""
        if table.reference is not None and table.reference not in table.recipe:
            self.say(where, f"reference: {suggest(table.reference, table.recipe, 'recipe')}", "reference")
        for recipe in recipes.values():
            if recipe.reference is not None and recipe.reference not in table.recipe:
                here = f"[workload.{name}.recipe.{recipe.name}]"
                self.say(here, f"reference: {suggest(recipe.reference, table.recipe, 'recipe')}")

    def fixture(self, where: str, dotted: str) -> None:
        """Says so where there is no such package below the TOML's folder."""
        folder = self.path.parent.joinpath(*dotted.split("."))
        if not is_file(folder / "__init__.py") and not is_file(folder.with_suffix(".py")):
            near = [f"{folder.parent.name}.{p.parent.name}" for p in folder.parent.glob("*/__init__.py")]
            self.say(where, f"fixture: {suggest(dotted, near, 'fixture')}", "fixture")

    def located(self, where: str, table: schema.WorkloadTable, folder: Path) -> dict[str, Any]:
        """The table without recipes and published figures, its paths from ``folder``."""
        plain = table.model_dump(exclude={"recipe", "published", "model_sha256", "preprocess"})
        plain |= {"task": table.task_name if table.task_name in tasks() else "", "fixture": table.fixture or ""}
        try:
            if table.fixture is None and table.data is not None:
                plain["data"] = None
                said = partial(self.say, where)
                plain["data_files"] = data_files(table, folder, lambda key, what: said(what, key))
            for key in ("checkpoint", "data", "chat_template"):
                if plain[key] is not None and (key, plain[key]) != ("chat_template", "none"):
                    plain[key] = str(placed(plain[key], folder))
        except RuntimeError as error:
            self.say(where, str(error))
        if table.fixture is None and table.model is not None and ends_as_file(table.model):
            plain["model"] = str(placed(table.model, folder).resolve())
        elif plain["model"] is not None:
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
        inner = Recipes(self.path, self.sources)
        inner.models = self.models
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


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def is_file(path: Path) -> bool:
    """Whether there is such a file; not where no file can have that name."""
    try:
        return path.is_file()
    except OSError:  # a name longer than any file's
        return False
