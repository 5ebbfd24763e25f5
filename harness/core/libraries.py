"""Libraries that are not always here."""

from __future__ import annotations

import importlib
from importlib import metadata
from typing import Any

from harness.core.errors import Unavailable


def require(module: str, install: str = "", name: str = "") -> Any:
    """Imports ``module`` and returns it. Raises Unavailable, with ``pip install`` of ``install``, where that fails.

    ``install`` and ``name`` (as messages say it) are the module's top package by default.
    """
    top = module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise Unavailable(f"{name or top} can't be imported: {error}", f"pip install {install or top}") from error


def version_of(distribution: str) -> str | None:
    """The version of a distribution that is installed here; None where it is not."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
