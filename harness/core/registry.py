"""Finds passes, runtimes, scenarios, metrics and more by name: a new one is a new file in a folder.

The general ones are part of the harness; those of one family of tasks come from plug-ins. A plug-in is a package with
modules or folders named ``passes``, ``runtimes``, ``scenarios``, ``metrics``, ``reach`` (ways to machines) or
``releases`` (places that keep them). The families in ``harness.tasks`` are plug-ins; others are found by the entry
points ``kpi_tests.plugins``, or named by ``plugins`` in ``kpis.toml``.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Literal, TypeVar, dataclass_transform

from harness.core.errors import KpiError, reason
from harness.core.imports import closure, code_digest
from harness.core.own_metrics import OwnMetric

T = TypeVar("T")
Kind = Literal["passes", "runtimes", "scenarios", "metrics", "reach", "releases"]

GENERAL: Mapping[Kind, str] = MappingProxyType(
    {
        "passes": "harness.build.passes",
        "runtimes": "harness.measure.runtimes",
        "scenarios": "harness.measure.scenarios",
        "metrics": "harness.judge.metrics",
        "reach": "harness.measure.reach",
        "releases": "harness.evidence.releases",
    }
)
"""The packages of what is not of one family of tasks."""
FAMILIES = "harness.tasks"
EXTENSIONS = (*(GENERAL[kind] for kind in ("passes", "runtimes", "scenarios", "metrics")), FAMILIES)
"""The packages that nothing else imports: a change in one of their files matters to what uses it alone."""
ENTRY_POINTS = "kpi_tests.plugins"
VARIABLE = "KPI_PLUGINS"
"""Tells a worker which plug-ins there are: JSON, package name to folder."""


@dataclass(frozen=True, slots=True)
class Plugin:
    """A package; ``folder`` is where it is, None for one that can be imported by its name anyway."""

    name: str
    folder: Path | None = None


_project: tuple[Plugin, ...] = ()
_own: tuple[OwnMetric, ...] = ()


def use(packages: Sequence[Plugin], own: Sequence[OwnMetric] = ()) -> None:
    """From now on these are the plug-ins of the project, and the metrics of its own, in place of those before."""
    global _project, _own
    _project, _own = tuple(packages), tuple(own)


def own_metrics() -> tuple[OwnMetric, ...]:
    """The metrics that the project wrote as functions."""
    return _own


def project_plugins() -> tuple[Plugin, ...]:
    """The plug-ins that the project named."""
    return _project


def project_folders() -> tuple[Path, ...]:
    """Where the plug-ins are that the project named."""
    return tuple(plugin.folder for plugin in _project if plugin.folder)


def plugins() -> tuple[Plugin, ...]:
    """The plug-ins: the harness's own families, then those that are installed, then those of the project."""
    found = {plugin.name: plugin for plugin in (*_families(), *_installed(), *_project)}
    return tuple(found.values())


def environment() -> dict[str, str]:
    """What a worker's environment must hold to find the same plug-ins, also under another interpreter."""
    return {VARIABLE: json.dumps({name: str(folder) for name, folder in foreign_folders().items()})}


def foreign_folders() -> dict[str, Path]:
    """Where the plug-ins are that are not the harness's own, by the package's name."""
    return {p.name: Path(load(p).__path__[0]).resolve() for p in plugins() if p not in _families()}


def load(plugin: Plugin) -> ModuleType:
    """The package of a plug-in. Raises KpiError, with the reason, where it can't be imported."""
    if plugin.folder is not None and _is_taken(plugin.name, plugin.folder):
        raise KpiError(f'plug-in "{plugin.name}" has the name of another package', "rename the plug-in")
    if plugin.name in sys.modules:
        return sys.modules[plugin.name]
    try:
        if plugin.folder is None:
            return importlib.import_module(plugin.name)
        return _load_from(plugin.name, plugin.folder)
    except Exception as error:
        raise KpiError(f'plug-in "{plugin.name}" can\'t be imported: {reason(error)}') from error


def _is_taken(name: str, folder: Path) -> bool:
    """Whether importing ``name`` gives, or would give, anything but the package in ``folder``."""
    try:
        found = find_spec(name)
    except ValueError:  # imported already, by hand
        return False
    return found is not None and folder.resolve() not in {
        Path(place).resolve() for place in found.submodule_search_locations or ()
    }


def source_files(cls: type) -> tuple[Path, frozenset[Path]]:
    """The files of a class and of what it imports among the extensions of its package, with the folder they are in.

    A change in one of them is a change of what the class does.
    """
    top = cls.__module__.partition(".")[0]
    root = Path(sys.modules[top].__path__[0]).resolve().parent
    packages = EXTENSIONS if cls.__module__.startswith("harness.") else (top,)
    folders = tuple(str(root.joinpath(*package.split("."))) + os.sep for package in packages)
    own = Path(sys.modules[cls.__module__].__file__ or "").resolve()
    return root, closure(root, [own], lambda file: str(file).startswith(folders))


def plugin_digests() -> dict[str, str]:
    """The code of what is not the harness's own, as a digest: of each plug-in by its package's name, of each metric."""
    packages = {name: code_digest(folder.parent, folder.rglob("*.py")) for name, folder in foreign_folders().items()}
    return {**packages, **{f"metric {own.name}": own.digest for own in _own}}


def _load_from(name: str, folder: Path) -> ModuleType:
    """Imports a package from its folder, whatever else is importable under that name."""
    found = spec_from_file_location(name, folder / "__init__.py", submodule_search_locations=[str(folder)])
    if found is None or found.loader is None:
        raise ImportError(f"{folder} is not a package")
    module = sys.modules[name] = module_from_spec(found)
    try:
        found.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def load_all() -> None:
    """Imports the plug-ins that are not the harness's own, so that others may import them by name."""
    for plugin in plugins():
        if plugin.folder is not None:
            load(plugin)


@cache
def _families() -> tuple[Plugin, ...]:
    folders = importlib.import_module(FAMILIES).__path__
    names = sorted(p.parent.name for folder in folders for p in Path(folder).glob("*/__init__.py"))
    return tuple(Plugin(f"{FAMILIES}.{name}") for name in names)


@cache
def _installed() -> tuple[Plugin, ...]:
    """Those that the caller named where this is a worker, else those of the installed distributions."""
    if VARIABLE in os.environ:
        return tuple(Plugin(name, Path(folder)) for name, folder in json.loads(os.environ[VARIABLE]).items())
    from importlib.metadata import entry_points

    return tuple(Plugin(point.module) for point in sorted(entry_points(group=ENTRY_POINTS), key=lambda p: p.name))


def discover(kind: Kind, base: type[T]) -> Mapping[str, type[T]]:
    """Every concrete subclass of ``base`` that the harness and its plug-ins have of a kind, by its ``name``.

    Raises KpiError when two share a name, or a plug-in's module can't be imported. The modules must be cheap to
    import: heavy libraries are imported inside the methods that use them.
    """
    return _discover(kind, base, plugins())  # type: ignore[arg-type]  # a class is hashable


@cache
def _discover(kind: Kind, base: type[T], packages: tuple[Plugin, ...]) -> Mapping[str, type[T]]:
    return _members([module for module, _ in _modules(kind, packages)], base)


@cache
def discover_in(package: str, base: type[T]) -> Mapping[str, type[T]]:
    """The same for the modules of one package."""
    return _members([module for module, _ in _modules_in(package, importlib.import_module(package))], base)


def _members(modules: Sequence[str], base: type[T]) -> Mapping[str, type[T]]:
    classes: dict[str, type[T]] = {}
    for module in modules:
        for name, member in _named(module, base):
            if name in classes:
                places = " and ".join(f"{cls.__module__}.{cls.__qualname__}" for cls in (classes[name], member))
                raise KpiError(f"two classes are named {name!r}: {places}", "rename one of them")
            classes[name] = member
    return MappingProxyType(classes)


def find(kind: Kind, base: type[T], name: str) -> type[T]:
    """The concrete subclass of ``base`` that is called ``name``; of the modules, those that say the name come first.

    For processes that need one thing and start often: no other module is imported. KeyError where there is none.
    """
    return _find(kind, base, name, plugins())  # type: ignore[arg-type]  # a class is hashable


@cache
def _find(kind: Kind, base: type[T], name: str, packages: tuple[Plugin, ...]) -> type[T]:
    assignment = f'name = "{name}"'
    modules = _modules(kind, packages)
    for module, _ in sorted(modules, key=lambda m: assignment not in m[1].read_text(encoding="utf-8")):
        for own, member in _named(module, base):
            if own == name:
                return member
    raise KeyError(name)


def _modules(kind: Kind, packages: tuple[Plugin, ...]) -> list[tuple[str, Path]]:
    """The modules of a kind with their files: the general ones, then those of the plug-ins."""
    modules = _modules_in(GENERAL[kind], importlib.import_module(GENERAL[kind]))
    for plugin in packages:
        for folder in map(Path, load(plugin).__path__):
            if (folder / kind).is_dir():
                modules += _modules_in(f"{plugin.name}.{kind}", _import(f"{plugin.name}.{kind}"))
            elif (folder / f"{kind}.py").is_file():
                modules.append((f"{plugin.name}.{kind}", folder / f"{kind}.py"))
    return modules


def _modules_in(name: str, package: ModuleType) -> list[tuple[str, Path]]:
    """The modules of a package with their files, by name."""
    files = sorted(p for folder in package.__path__ for p in Path(folder).glob("*.py") if p.stem != "__init__")
    return [(f"{name}.{file.stem}", file) for file in files]


def _import(module: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except Exception as error:
        if module.startswith("harness."):
            raise
        raise KpiError(f"{module} can't be imported: {reason(error)}") from error


def _named(module_name: str, base: type[T]) -> Iterator[tuple[str, type[T]]]:
    """The concrete subclasses of ``base`` that a module defines, by name."""
    module = _import(module_name)
    for member in vars(module).values():
        if not isinstance(member, type) or not issubclass(member, base) or member.__module__ != module_name:
            continue
        # As inspect.isabstract says it, without that module.
        if not getattr(member, "__abstractmethods__", None) and "name" in vars(member):
            yield vars(member)["name"], member


@dataclass_transform(frozen_default=True, kw_only_default=True)
def options_table(cls: type[T]) -> type[T]:
    """Makes a class the options of a pass, runtime or scenario: a frozen dataclass that refuses unknown keys."""
    made = dataclass(frozen=True, slots=True, kw_only=True)(cls)
    # Read by pydantic when it validates the TOML; a plain mapping, so that a worker need not have pydantic.
    made.__pydantic_config__ = {"extra": "forbid"}  # type: ignore[attr-defined]
    return made


def check_counts(**counts: int | None) -> None:
    """Refuses counts below 1; ValueError names the option. None is a count left to somebody else."""
    for name, count in counts.items():
        if count is not None and count < 1:
            raise ValueError(f"{name} must be at least 1")


@options_table
class NoOptions:
    """For what has no settings."""
