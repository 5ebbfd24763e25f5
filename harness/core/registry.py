"""Finds passes, runtimes, scenarios and metrics by name: a new one is a new file in a folder of that kind.

The general ones are part of the harness; those of one family of tasks come from plug-ins. A plug-in is a package with
modules or folders named ``passes``, ``runtimes``, ``scenarios`` or ``metrics``. The families in ``harness.tasks`` are
plug-ins; others are found by the entry points ``kpi_tests.plugins``.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Literal, TypeVar, dataclass_transform

T = TypeVar("T")
Kind = Literal["passes", "runtimes", "scenarios", "metrics"]

GENERAL: Mapping[Kind, str] = MappingProxyType(
    {
        "passes": "harness.build.passes",
        "runtimes": "harness.measure.runtimes",
        "scenarios": "harness.measure.scenarios",
        "metrics": "harness.judge.metrics",
    }
)
"""The packages of what is not of one family of tasks."""
FAMILIES = "harness.tasks"
EXTENSIONS = (*GENERAL.values(), FAMILIES)
"""The packages that nothing else imports: a change in one of their files matters to what uses it alone."""


@cache
def discover(kind: Kind, base: type[T]) -> Mapping[str, type[T]]:
    """Every concrete subclass of ``base`` that the harness and its plug-ins have of a kind, by its ``name``.

    Raises RuntimeError when two share a name. The modules must be cheap to import: heavy libraries are imported
    inside the methods that use them.
    """
    return members([module for module, _ in _modules(kind)], base)


@cache
def discover_in(package: str, base: type[T]) -> Mapping[str, type[T]]:
    """The same for the modules of one package."""
    return members([module for module, _ in _modules_in(package)], base)


def members(modules: list[str], base: type[T]) -> Mapping[str, type[T]]:
    """The concrete subclasses of ``base`` that modules define, by name; RuntimeError when two share one."""
    classes: dict[str, type[T]] = {}
    for module in modules:
        for name, member in _named(module, base):
            if name in classes:
                raise RuntimeError(f"two classes are named {name!r}: {classes[name]} and {member}")
            classes[name] = member
    return MappingProxyType(classes)


@cache
def find(kind: Kind, base: type[T], name: str) -> type[T]:
    """The concrete subclass of ``base`` that is called ``name``; of the modules, those that say the name come first.

    For processes that need one thing and start often: no other module is imported. KeyError where there is none.
    """
    assignment = f'name = "{name}"'
    for module, _ in sorted(_modules(kind), key=lambda m: assignment not in m[1].read_text(encoding="utf-8")):
        for own, member in _named(module, base):
            if own == name:
                return member
    raise KeyError(name)


@cache
def plugins() -> tuple[str, ...]:
    """The packages of the plug-ins, the harness's own families first."""
    folders = importlib.import_module(FAMILIES).__path__
    families = sorted(p.parent.name for folder in folders for p in Path(folder).glob("*/__init__.py"))
    return tuple(f"{FAMILIES}.{family}" for family in families)


def _modules(kind: Kind) -> list[tuple[str, Path]]:
    """The modules of a kind with their files: the general ones, then those of the plug-ins."""
    modules = _modules_in(GENERAL[kind])
    for plugin in plugins():
        for folder in map(Path, importlib.import_module(plugin).__path__):
            if (folder / kind).is_dir():
                modules += _modules_in(f"{plugin}.{kind}")
            elif (folder / f"{kind}.py").is_file():
                modules.append((f"{plugin}.{kind}", folder / f"{kind}.py"))
    return modules


def _modules_in(package: str) -> list[tuple[str, Path]]:
    """The modules of a package with their files, by name."""
    folders = importlib.import_module(package).__path__
    files = sorted(p for folder in folders for p in Path(folder).glob("*.py") if p.stem != "__init__")
    return [(f"{package}.{file.stem}", file) for file in files]


def _named(module_name: str, base: type[T]) -> Iterator[tuple[str, type[T]]]:
    """The concrete subclasses of ``base`` that a module defines, by name."""
    module = importlib.import_module(module_name)
    for member in vars(module).values():
        if not isinstance(member, type) or not issubclass(member, base) or member.__module__ != module_name:
            continue
        # As inspect.isabstract says it, without that module.
        if not getattr(member, "__abstractmethods__", None) and "name" in vars(member):
            yield vars(member)["name"], member


@dataclass_transform(frozen_default=True, kw_only_default=True)
def options(cls: type[T]) -> type[T]:
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


@options
class NoOptions:
    """For what has no settings."""
