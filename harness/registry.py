"""Finds passes, runtimes, scenarios or metrics by name: a new one is a new file in its folder."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
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
    for module_info in pkgutil.iter_modules(importlib.import_module(package).__path__):
        module = importlib.import_module(f"{package}.{module_info.name}")
        for member in vars(module).values():
            if not inspect.isclass(member) or not issubclass(member, base) or member.__module__ != module.__name__:
                continue
            if inspect.isabstract(member) or "name" not in vars(member):
                continue
            name: str = vars(member)["name"]
            if name in found:
                raise RuntimeError(f"{package}: two classes are named {name!r}: {found[name]} and {member}")
            found[name] = member
    return MappingProxyType(found)


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
