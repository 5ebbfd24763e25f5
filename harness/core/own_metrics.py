"""Metrics that a user wrote as a function in a Python file and named in ``kpis.toml``."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

_NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)+", re.ASCII)
_FUNCTION = re.compile(r"(?P<file>[^:]+\.py):(?P<function>[A-Za-z_]\w*)")


@dataclass(frozen=True, slots=True)
class OwnMetric:
    """``of`` says what the function gives: a score for each sample, or one figure of the whole set.

    ``unit`` is "%" for a share and empty for a plain number; ``low`` and ``high`` are the least and the greatest score.
    """

    name: str
    file: Path
    function: str
    of: Literal["sample", "set"] = "sample"
    unit: Literal["%", ""] = ""
    better: Literal["higher", "lower"] = "higher"
    low: float = float("-inf")
    high: float = float("inf")
    title: str = ""

    @property
    def digest(self) -> str:
        """SHA-256 of the file that the function is in; empty where it can't be read."""
        try:
            return hashlib.sha256(self.file.read_bytes()).hexdigest()
        except OSError:
            return ""


def own_metric(name: str, table: Mapping[str, Any], folder: Path) -> OwnMetric:
    """The metric of ``[metric.NAME]``, its file from ``folder`` on. Raises ValueError for what is wrong with it."""
    if not _NAME.fullmatch(name):
        raise ValueError(f'{name!r} must be a kind, a dot and a name in small letters, as in [metric."recall.worst"]')
    match = _FUNCTION.fullmatch(str(table.get("function", "")))
    if match is None:
        raise ValueError('function: write the file and the function, as in "metrics.py:worst_class_recall"')
    unit = table.get("unit", "")
    low, high = table.get("range") or ((0.0, 1.0) if unit == "%" else (float("-inf"), float("inf")))
    if not low < high:
        raise ValueError(f"range: [{low}, {high}] must grow")
    return OwnMetric(
        name,
        folder / match["file"],
        match["function"],
        table.get("of", "sample"),
        unit,
        table.get("better", "higher"),
        float(low),
        float(high),
        table.get("title") or name.rpartition(".")[2].replace("_", " "),
    )
