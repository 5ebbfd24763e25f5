"""Reads the file of a run's evidence, of schema 1 or 2, with the standard library alone."""

import base64
import json
import sys
from array import array
from pathlib import Path
from typing import Any

MALFORMED = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)


def read(path: str) -> dict[str, Any]:
    """The evidence of a file; ValueError where it is not evidence."""
    return unpacked(json.loads(Path(path).read_text(encoding="utf-8")))


def unpacked(evidence: Any) -> dict[str, Any]:
    """Evidence with its raw numbers in lists and its measurements by their ids; ValueError where it is none."""
    if not isinstance(evidence, dict) or evidence.get("schema") not in (1, 2):
        raise ValueError("it is not evidence of schema 1 or 2")
    for measurement in evidence["measurements"]:
        for part in ("scores", "weights", "groups"):
            measurement[part] = {name: numbers(kept) for name, kept in (measurement.get(part) or {}).items()}
        for process in measurement["processes"]:
            process["samples_s"] = numbers(process["samples_s"])
            process["series"] = {name: numbers(kept) for name, kept in process["series"].items()}
    evidence["by_id"] = {measurement["id"]: measurement for measurement in evidence["measurements"]}
    return dict(evidence)


def numbers(kept: Any) -> list[float]:
    """Schema 2 keeps numbers as the base64 of doubles, little-endian; schema 1 as they are."""
    if not isinstance(kept, str):
        return list(kept)
    found = array("d", base64.b64decode(kept, validate=True))
    if sys.byteorder == "big":
        found.byteswap()
    return found.tolist()


def told(error: Exception) -> str:
    """What is wrong with a file, in one line."""
    said = f"the key {error} is missing" if isinstance(error, KeyError) else getattr(error, "strerror", None)
    return " ".join((said or str(error)).split())
