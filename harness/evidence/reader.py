"""Reads evidence from a file, whichever version of the harness wrote it."""

from __future__ import annotations

import gc
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.core.codec import decode, of_plain
from harness.core.errors import KpiError
from harness.evidence.earlier_schema import upgraded
from harness.evidence.model import SCHEMA, Evidence
from harness.evidence.seal import broken, broken_record


@dataclass(frozen=True)
class _Version:
    """As much as tells who wrote a file."""

    schema: int


def read_evidence(path: Path, key: str | None) -> tuple[Evidence, str]:
    """The evidence in a file with what is wrong with its seal; KpiError when it is not evidence at all."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise KpiError(f"{path} can't be read: {error.strerror}") from error
    return parse_evidence(str(path), text, key)


def parse_evidence(name: str, text: bytes, key: str | None) -> tuple[Evidence, str]:
    """The same of a text from wherever; ``name`` says where."""
    try:
        schema = decode(text, _Version).schema
    except (ValueError, RecursionError) as error:
        raise _unreadable(name, text, error) from error
    if schema not in (1, SCHEMA):
        raise KpiError(f"{name} is written in schema {schema}, this version reads 1 and {SCHEMA}")
    try:
        if schema == SCHEMA:
            evidence = _decoded(text)
            return evidence, broken(text, evidence.seal, key)
        old: dict[str, Any] = json.loads(text)
        # The digest is of what was read.
        problem = broken_record(old, key)
        return of_plain(upgraded(old), Evidence), problem
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        said = f"{error} is missing" if isinstance(error, KeyError) else error
        raise KpiError(
            f"{name} is not evidence of schema {schema}: {said}", "give the evidence.json of a run"
        ) from error


def _decoded(text: bytes) -> Evidence:
    """The evidence of schema 2; the collector of cycles waits, since none are made and it looks at all again."""
    busy = gc.isenabled()
    gc.disable()
    try:
        return decode(text, Evidence)
    finally:
        if busy:
            gc.enable()


def _unreadable(name: str, text: bytes, error: Exception) -> KpiError:
    try:
        text.decode()
    except UnicodeDecodeError:
        return KpiError(f"{name} is not JSON: it is not UTF-8 text")
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return KpiError(f"{name} is not JSON: {error}", "was it cut off?")
    return KpiError(f"{name} is not evidence: {error}", "give the evidence.json of a run")
