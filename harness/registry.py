"""Finds passes, runtimes, scenarios or metrics by name: a new one is a new file in its folder."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@cache
def discover(package: str, base: type[T]) -> Mapping[str, type[T]]:
    """Every concrete subclass of ``base`` in the modules of ``package``, by its ``name``.

    Raises RuntimeError when two share a name. The modules must be cheap to import: heavy libraries are imported
    inside the methods that use them.
    """
    found: dict[str, type[T]] = {}
    for file in _files(package):
        for name, member in _named(f"{package}.{file.stem}", base):
            if name in found:
                raise RuntimeError(f"{package}: two classes are named {name!r}: {found[name]} and {member}")
            found[name] = member
    return MappingProxyType(found)


@cache
def find(package: str, base: type[T], name: str) -> type[T]:
    """The concrete subclass of ``base`` that is called ``name``; of the modules, those that say the name come first.

    For processes that need one thing and start often: no other module is imported. KeyError where there is none.
    """
    said = f'name = "{name}"'
    for file in sorted(_files(package), key=lambda file: said not in file.read_text(encoding="utf-8")):
        for own, member in _named(f"{package}.{file.stem}", base):
            if own == name:
                return member
    raise KeyError(name)


def _files(package: str) -> list[Path]:
    """The modules of a package, by name."""
    folders = importlib.import_module(package).__path__
    return sorted(p for folder in folders for p in Path(folder).glob("*.py") if p.stem != "__init__")


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
