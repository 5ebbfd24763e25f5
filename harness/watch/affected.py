"""Which targets a saved change can affect: decided from the promises before and after, and from the files' imports."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.build.passes import passes
from harness.core.bounds import Bound
from harness.core.errors import KpiError
from harness.core.imports import closure, parsed
from harness.core.registry import EXTENSIONS, project_folders
from harness.judge.metrics import metrics
from harness.judge.metrics.priced import MachineRatioMetric
from harness.measure.runtimes import runtimes
from harness.measure.scenarios import scenarios
from harness.spec.catalog import FILES, scheme_of
from harness.spec.model import Kpi, Recipe, Spec, Target

_REQUIREMENTS = ("build", "requirements")
_WORKLOAD = (
    "task",
    "task_options",
    "fixture",
    "checkpoint",
    "checkpoint_sha256",
    "model",
    "data",
    "allow_pickle",
    "trust_remote_code",
    "chat_template",
    "data_files",
    "scored",
    "constants",
    "state",
    "batch_axis",
)
_PROCESSOR = ("cpu", "gpu", "npu", "arch")  # what says which processor's integer arithmetic was promised
_UNREAD = (".md", ".pyc", ".swp", ".swx", ".orig", ".rej", "~")

Reasons = dict[str, str]
"""Why a target must be judged again, by the target's id."""


@dataclass(frozen=True, slots=True)
class Folders:
    """Where files that matter lie: the harness, and the tests that ask for each kind of metric; both resolved."""

    harness: Path
    tests: Path | None


def ignored(path: Path) -> bool:
    """Whether a file is one that no verdict can depend on: hidden, a page of text, what editors and Python leave."""
    hidden = any(part.startswith((".", "#")) or part == "__pycache__" for part in path.parts[-3:])
    return hidden or path.name.endswith(_UNREAD)


# ---- the promises -------------------------------------------------------------------------------------------------


def by_promises(old: Spec, new: Spec) -> Reasons:
    """The targets whose verdict the change from ``old`` to ``new`` can alter."""
    found = ((target.id, _why(old, new, target)) for target in new.targets)
    return {name: why for name, why in found if why}


def _why(old: Spec, new: Spec, target: Target) -> str:
    """Why a target must be judged again, empty when it need not be."""
    kpi = new.kpi(target.kpi)
    before = next((other for other in old.kpis if other.name == kpi.name), None)
    if before is None:
        return "a new KPI"
    same = [t for t in before.targets if t.metric_name == target.metric_name and _alike(t.bound, target.bound)]
    if not same:
        return "its bound"
    if old.measure != new.measure:
        return "[measure]"
    for part in ("workload", "recipe", "machine", "first_release"):
        if getattr(before, part) != getattr(kpi, part):
            return f"its {part}"
    return _parts(old, new, same[0], target) or _against(old, new, before, kpi, target)


def _alike(a: Bound, b: Bound) -> bool:
    return (a.relation, a.op, a.limit, a.versus) == (b.relation, b.op, b.limit, b.versus)


def _parts(old: Spec, new: Spec, before: Target, target: Target) -> str:
    """What of the workload, the recipes and the machine of a target differs."""
    was, now = old.workloads[target.workload], new.workloads[target.workload]
    if any(getattr(was, name) != getattr(now, name) for name in _WORKLOAD):
        return f"[workload.{target.workload}]"
    files = target.metric.of_files
    recipes = new.recipes_of(target)
    earlier = {recipe.name: recipe for recipe in old.recipes_of(before)}
    for recipe in recipes:
        known = earlier.get(recipe.name)
        scenario = new.scenario(target)
        if known is None or _view(known, scenario, files=files) != _view(recipe, scenario, files=files):
            return f"recipe {recipe.name}"
    return _machine(old, new, target) if not files else ""


def _view(recipe: Recipe, scenario: str, *, files: bool) -> tuple[object, ...]:
    """What of a recipe a metric depends on: its files, or also how they are run under the metric's scenario."""
    if files:
        return (recipe.passes,)
    settings = (recipe.scenarios.get(scenario), recipe.scenario_runtime.get(scenario))
    return (recipe.passes, recipe.runtime, recipe.runtime_options, recipe.environment, recipe.placement, *settings)


def _machine(old: Spec, new: Spec, target: Target) -> str:
    was, now = old.machines[target.machine], new.machines[target.machine]
    if was == now:
        return ""
    if target.metric.computed and any(getattr(was, name) != getattr(now, name) for name in _PROCESSOR):
        return f"[machine.{target.machine}]"
    priced = target.metric.priced or target.metric.two_machines
    if was.device == now.device and (target.gates_everywhere or (was.price != now.price and not priced)):
        parts = ("cpu", "gpu", "npu", "cores", "memory", "os", "arch")
        if target.gates_everywhere or all(getattr(was, name) == getattr(now, name) for name in parts):
            return ""
    return f"[machine.{target.machine}]"


def _against(old: Spec, new: Spec, before: Kpi, kpi: Kpi, target: Target) -> str:
    """For a ratio between machines: whether its other side differs."""
    if not target.metric.two_machines:
        return ""
    if before.against != kpi.against:
        return "against"
    was, now = old.kpi(before.against or ""), new.kpi(kpi.against or "")
    sides = [
        (side.recipe, side.machine, spec.machines[side.machine], spec.recipe(side.workload, side.recipe))
        for spec, side in ((old, was), (new, now))
    ]
    return f"the KPI {kpi.against} that it is held against" if sides[0] != sides[1] else ""


# ---- files --------------------------------------------------------------------------------------------------------


def by_files(spec: Spec, changed: Iterable[Path], folders: Folders) -> Reasons:
    """The targets that the change of some files can affect, the promises themselves left aside; resolved paths."""
    found: Reasons = {}
    root = spec.root.resolve()
    sources = _sources(spec)
    for path in changed:
        if ignored(path) or path in {file.resolve() for file in spec.files}:
            continue
        why = str(path.relative_to(root)) if path.is_relative_to(root) else path.name
        found.update((target.id, why) for target in _users(spec, path, folders, sources))
    return {target.id: found[target.id] for target in spec.targets if target.id in found}


def _users(spec: Spec, path: Path, folders: Folders, sources: Mapping[str, _Sources]) -> Iterator[Target]:
    plugin = next((folder for folder in project_folders() if path.is_relative_to(folder)), None)
    if plugin is not None:
        used = {name for name, source in sources.items() if source.holds(path)}
        others = set(_extension_users(spec, path, plugin.parent, (plugin,)))
        yield from (target for target in spec.targets if target.workload in used or target in others)
    elif path.is_relative_to(folders.harness):
        yield from _harness_users(spec, path, folders.harness)
    elif folders.tests is not None and path.is_relative_to(folders.tests):
        kinds = {target.metric.kind() for target in spec.targets}
        kind = path.stem.removeprefix("test_")
        if path.suffix == ".py":
            yield from (t for t in spec.targets if kind not in kinds or t.metric.kind() == kind)
    elif path == spec.root.resolve() / "conftest.py":
        yield from spec.targets
    elif path.parent == spec.root.resolve() / "environments":
        yield from _environment_users(spec, path.stem)
    else:
        used = {name for name, source in sources.items() if source.holds(path)}
        yield from (t for t in spec.targets if t.workload in used or path in map(Path.resolve, t.metric.files()))


@dataclass(frozen=True, slots=True)
class _Sources:
    """The files of a workload: Python by import, what is next to it, weights and data that the table names."""

    python: frozenset[Path]
    folders: tuple[Path, ...]

    def holds(self, path: Path) -> bool:
        if path in self.python:
            return True
        return any(
            path.is_relative_to(folder) and (path.suffix != ".py" or folder == self.folders[0])
            for folder in self.folders
        )


def _sources(spec: Spec) -> dict[str, _Sources]:
    """The files of each workload; those of a fixture are looked for once."""
    root = spec.root.resolve()
    code: dict[str, tuple[frozenset[Path], tuple[Path, ...]]] = {}
    found = {}
    for name, workload in spec.workloads.items():
        if workload.fixture not in code:
            folder = root.joinpath(*workload.fixture.split("."))
            code[workload.fixture] = _code(root, folder) if workload.fixture else (frozenset(), ())
        python, folders = code[workload.fixture]
        texts = (workload.checkpoint, workload.data, workload.model, workload.chat_template)
        named = [Path(text) for text in texts if text]
        named += workload.data_files.needed if workload.data_files else ()
        named += [file for recipe in workload.recipes.values() for file in _files(root, recipe)]
        there = [path.resolve() for path in named if path.is_absolute() or path.exists()]
        found[name] = _Sources(python, (*folders, *there))
    return found


def _files(root: Path, recipe: Recipe) -> Iterator[Path]:
    """The files that a recipe's passes read: a model of its own with its weights, a pointer to what was released."""
    if recipe.released and scheme_of(recipe.released) == FILES:
        yield root / recipe.released
    for step in recipe.passes:
        cls = passes()[step.name]
        for given in (root / str(step.options[name]) for name in cls.files if step.options.get(name)):
            try:
                yield from cls.belonging(given)
            except (KpiError, OSError):  # what is wrong with it the build says
                yield given


def _code(root: Path, home: Path) -> tuple[frozenset[Path], tuple[Path, ...]]:
    """The Python files of a fixture, and the folders of what is next to them, its own first."""
    own = sorted(home.rglob("*.py")) if home.is_dir() else [home.with_suffix(".py")]
    parents = [folder / "__init__.py" for folder in home.parents if folder.is_relative_to(root)]
    python = closure(root, [*own, *(file for file in parents if file.is_file())])
    # Data are next to the code that reads them; above the fixture itself are the other fixtures too.
    near = {file.parent for file in python} - {*home.parents}
    return python, (*([home] if home.is_dir() else []), *sorted(near))


def followed(spec: Spec) -> list[Path]:
    """The folders and single files that fixtures, weights and data of the promises lie in, as far as they are there."""
    root = spec.root.resolve()
    found = {root / "environments", *project_folders()}
    found.update(file.resolve() for target in spec.targets for file in target.metric.files())
    for name, sources in _sources(spec).items():
        found.update((*sources.folders, *sources.python))
        if spec.workloads[name].fixture:
            found.add(root / spec.workloads[name].fixture.partition(".")[0])
    there = sorted(path for path in found if path.exists())
    return [path for path in there if not any(path.is_relative_to(other) for other in there if other != path)]


def _environment_users(spec: Spec, name: str) -> Iterator[Target]:
    for target in spec.targets:
        if any(recipe.environment == name for recipe in _recipes(spec, target)):
            yield target


def _recipes(spec: Spec, target: Target) -> list[Recipe]:
    """Every recipe that is run for a target, that of the KPI it is held against among them."""
    found = list(spec.recipes_of(target))
    if target.metric.two_machines and (other := spec.kpi(target.kpi).against):
        against = spec.kpi(other)
        found.append(spec.recipe(against.workload, against.recipe))
    return found


# ---- the harness itself -------------------------------------------------------------------------------------------


def _harness_users(spec: Spec, path: Path, harness: Path) -> Iterator[Target]:
    parts = path.relative_to(harness).parts
    if parts[:2] == _REQUIREMENTS:
        yield from _environment_users(spec, path.stem)
        return
    extensions = [harness.parent.joinpath(*package.split(".")) for package in EXTENSIONS]
    yield from _extension_users(spec, path, harness.parent, extensions)


def _extension_users(spec: Spec, path: Path, root: Path, folders: Sequence[Path]) -> Iterator[Target]:
    """The targets that a Python file below ``root`` matters to; ``folders`` hold what is found by name."""
    if path.suffix != ".py":
        return

    def extends(file: Path) -> bool:
        return any(file.is_relative_to(folder) for folder in folders)

    if not extends(path) or not (users := _extensions_on(path, root, extends)):
        # A new extension that no promise names yet changes nothing; whatever else is new may be for all of them.
        if not (extends(path) and _is_extension(path)):
            yield from spec.targets
        return
    for target in spec.targets:
        if users & set(_modules(spec, target)):
            yield target


def _extensions_on(path: Path, root: Path, extends: Callable[[Path], bool]) -> frozenset[Path]:
    """The files of metrics, passes, runtimes and scenarios that import ``path``, or are it."""
    known = {
        _file(cls.__module__) for found in (metrics(), passes(), runtimes(), scenarios()) for cls in found.values()
    }
    return frozenset(file for file in known if path in closure(root, [file], extends))


def _modules(spec: Spec, target: Target) -> Iterator[Path]:
    """The files of everything that a target's figure passes through."""
    yield _file(target.metric.__module__)
    if issubclass(target.metric, MachineRatioMetric):
        yield _file(target.metric.figure.__module__)
    scenario = spec.scenario(target)
    if scenario:
        yield _file(scenarios()[scenario].__module__)
    for recipe in _recipes(spec, target):
        yield from (_file(passes()[step.name].__module__) for step in recipe.passes)
        if scenario:
            yield _file(runtimes()[recipe.runtime].__module__)


def _file(module: str) -> Path:
    return Path(sys.modules[module].__file__ or "").resolve()


def _is_extension(path: Path) -> bool:
    """Whether a file defines something that is found by its name."""
    return any(
        isinstance(part, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "name" for t in part.targets)
        for node in parsed(path).body
        if isinstance(node, ast.ClassDef)
        for part in node.body
    )
