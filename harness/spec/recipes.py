"""Reads the recipes of ``kpis.toml``: passes that fit together, a runtime that runs what they make, its scenarios."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.core.errors import suggest
from harness.core.formats import REFERENCE
from harness.core.placement import Placement
from harness.spec import schema
from harness.spec.catalog import FILES, environments, passes, releases, runtimes, scenarios, scheme_of
from harness.spec.data_table import model_pass, placed, unknown_format
from harness.spec.hints import misplaced_pass, misplaced_runtime
from harness.spec.model import RELEASED, PassSpec, Recipe
from harness.spec.sources import Sources
from harness.spec.tables import Tables


class Recipes(Tables):
    """The recipes of one file; ``problems`` holds a line for each mistake.

    ``models`` are the files that workloads begin with, from the TOML's folder on, each with its pinned digest.
    """

    def __init__(self, path: Path, sources: Sources | None = None) -> None:
        super().__init__(path, sources)
        self.models: dict[str, tuple[str, str | None]] = {}

    def recipe(self, workload: str, name: str, data: object, where: str = "") -> Recipe | None:
        where = where or self.at(f"[workload.{workload}.recipe.{name}]", "workload", workload, "recipe", name)
        before = len(self.problems)
        table = self.table(schema.RecipeTable, data, where)
        if table is None:
            return None
        runtime_name: str | None = None
        runtime_table: dict[str, Any] = {}
        if not table.wrong("runtime"):
            runtime_name, runtime_table = self.named(table.runtime, "name", where, "runtime")
        runtime_options: dict[str, Any] | None = None
        if runtime_name is not None and runtime_name not in runtimes():
            self.say(where, f"runtime: {suggest(runtime_name, runtimes(), 'runtime')}", "runtime")
        elif runtime_name is not None:
            runtime_options = self.options(runtimes()[runtime_name].Options, runtime_table, f"{where} runtime")
        begin = self.begin(where, workload, table)
        unknown = begin is None and (workload in self.models or table.model is not None)
        made, steps = (
            ("", [])
            if table.wrong("passes")
            else self.passes(where, table, self.folder(workload), begin, unknown=unknown)
        )
        if made and runtime_name and runtime_name in runtimes() and made not in runtimes()[runtime_name].formats:
            self.say(where, misplaced_runtime(runtime_name, made), "runtime")
        settings, overrides = self.scenario_tables(
            where, table, None if runtime_options is None else runtime_name, runtime_table
        )
        known = environments(self.path.parent)
        if table.environment is not None and table.environment not in known:
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

    def folder(self, workload: str) -> Path:
        """Where relative paths of a workload start: the folder of the file that its table is in."""
        return self.sources.folder(workload) if self.sources else self.path.parent

    def from_root(self, text: str, workload: str) -> str:
        """A file of a workload's table as passes are given it: from the TOML's folder on."""
        try:
            return os.path.relpath(placed(text, self.folder(workload)), self.path.parent)
        except (RuntimeError, ValueError):  # no such home; another drive
            return str(Path(text).absolute())

    def begin(self, where: str, workload: str, table: schema.RecipeTable) -> PassSpec | None:
        """The step that takes the recipe's own model file, or the workload's; None where a network is exported."""
        if table.model_sha256 is not None and table.model is None:
            self.say(where, "model_sha256: pins the recipe's own model, and it has none", "model_sha256")
        for key in ("inputs", "outputs"):
            if not getattr(table, key):
                continue
            if table.model is None:
                self.say(where, f"{key}: names those of the recipe's own model, and it has none", key)
        if table.package is not None or table.package_sha256 is not None:
            return self.released(where, workload, table)
        if table.model is not None:
            file, digest = self.from_root(table.model, workload), table.model_sha256
        elif workload in self.models:
            file, digest = self.models[workload]
        else:
            return None
        reader = model_pass(file)
        if reader is None:
            if table.model is not None:
                self.say(where, unknown_format(table.model), "model")
            return None
        named = {key: _plain(getattr(table, key)) for key in ("inputs", "outputs") if getattr(table, key)}
        return PassSpec(reader, {"file": file, "sha256": digest, **named})

    def released(self, where: str, workload: str, table: schema.RecipeTable) -> PassSpec | None:
        """The step that takes what was released; nothing is looked up yet."""
        if table.package is None:
            self.say(where, "package_sha256: pins the recipe's package, and it has none", "package_sha256")
            return None
        for key in ("model", "passes"):
            if getattr(table, key):
                self.say(where, f"{key}: a package is taken as it was released; leave out {key}, or package", key)
        scheme = scheme_of(table.package)
        if scheme not in releases():
            self.say(where, f"package: {suggest(scheme, releases(), 'kind of place')}", "package")
        elif scheme == FILES and model_pass(table.package) is not None:
            self.say(where, f"package: {table.package!r} is a model file; write model = {table.package!r}", "package")
        reference = table.package
        if scheme == FILES:
            reference = self.from_root(table.package.removeprefix(f"{FILES}:"), workload)
        return PassSpec(RELEASED, {"package": reference, "sha256": table.package_sha256})

    def passes(
        self, where: str, table: schema.RecipeTable, folder: Path, begin: PassSpec | None, *, unknown: bool = False
    ) -> tuple[str, list[PassSpec]]:
        """The format that the passes make ("" when one is wrong), and the passes; their files start at ``folder``.

        ``begin`` is the step before them; where a model's format is ``unknown``, any pass may follow.
        """
        made, last = "" if unknown else REFERENCE, ""
        steps: list[PassSpec] = []
        named_first = self.named_first(table)
        if begin is not None and not (named_first and REFERENCE in passes()[named_first].input_formats):
            made, last = passes()[begin.name].output_format, begin.name
            steps.append(begin)
        elif begin is not None and named_first and "file" not in passes()[named_first].files:
            said = f'"{named_first}" exports a torch network, but the model is a file; leave it out'
            self.say(where, f"passes: {said}", "passes")
            return "", []
        if not table.passes and not steps and not unknown:
            missing = "passes = []" if "passes" in table.model_fields_set else 'the key "passes" is missing'
            self.say(where, f'{missing}: name at least one pass, as in ["onnx"], or a model file: model = "model.onnx"')
            return "", []
        for index, entry in enumerate(table.passes):
            here = f"{where} passes[{index}]"
            pass_name, pass_table = self.named(entry, "pass", here, "pass")
            if pass_name is None or pass_name not in passes():
                if pass_name is not None:
                    self.say(here, suggest(pass_name, passes(), "pass"), "passes")
                made = ""
                continue
            cls = passes()[pass_name]
            if made and made not in cls.input_formats:
                self.say(here, misplaced_pass(pass_name, made, last), "passes")
            if begin is not None and begin.options.keys() & {"inputs", "outputs"} and not cls.any_names:
                said = f'"{pass_name}" needs a file with the workload\'s own names'
                self.say(here, f"{said}: rename its inputs and outputs in the file", "passes")
            made, last = cls.output_format, pass_name
            chosen = self.options(cls.Options, pass_table, f"{here} ({pass_name})") or {}
            if folder != self.path.parent:
                named = {option: chosen[option] for option in cls.files if chosen.get(option)}
                chosen |= {option: os.path.relpath(folder / file, self.path.parent) for option, file in named.items()}
            steps.append(PassSpec(pass_name, chosen))
        return made, steps

    def named_first(self, table: schema.RecipeTable) -> str | None:
        """The first pass where it is one that is known."""
        first = table.passes[0] if table.passes else None
        name = first.get("pass") if isinstance(first, dict) else first
        return name if isinstance(name, str) and name in passes() else None

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
            settings[name] = self.options(scenarios()[name].Options, plain, here) or {}
            if override is not None:
                if not isinstance(override, dict):
                    self.say(here, "runtime must be a table of the runtime's options")
                    continue
                if runtime is None or runtime not in runtimes():
                    continue
                merged = self.options(runtimes()[runtime].Options, {**runtime_table, **override}, f"{here} runtime")
                overrides[name] = merged or {}
        return settings, overrides


def _plain(ports: Mapping[str, str | schema.PortTable]) -> dict[str, Any]:
    return {name: port if isinstance(port, str) else port.model_dump() for name, port in ports.items()}
