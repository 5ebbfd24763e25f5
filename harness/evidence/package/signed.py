"""Checks what was signed, a package or a statement of its own, with the public key alone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.build.artifact import MANIFEST
from harness.core.errors import KpiError
from harness.evidence.attestation import statement
from harness.evidence.attestation.envelope import opened
from harness.evidence.attestation.keys import PublicKeys
from harness.evidence.attestation.model_signature import signed_files
from harness.evidence.model import Evidence
from harness.evidence.package.contents import CRITERIA, EVIDENCE, SIGNATURE, STATEMENT, proof_gap
from harness.evidence.package.members import unsafe
from harness.evidence.reader import parse_evidence
from harness.judge.replay import recheck
from harness.workloads.checkpoint import file_digest

MALFORMED = (KeyError, TypeError, ValueError, AttributeError, IndexError, ArithmeticError, RecursionError)
"""What evidence of another shape than it should be raises where it is worked with."""
_LARGEST = 512 << 20


def uncovered(listed: Mapping[str, str], contents: Mapping[str, bytes], keys: PublicKeys) -> Iterator[str]:
    """What of a package its signature does not hold for, a line each.

    ``listed`` are the SHA-256 of all files that were found, by name, but the signature's own.
    """
    if SIGNATURE not in contents:
        yield f"it carries no signature: it has no {SIGNATURE}, or no {STATEMENT} next to it"
        return
    try:
        covered = signed_files(SIGNATURE, contents[SIGNATURE], keys)
    except KpiError as error:
        yield error.message
        return
    for name in sorted(covered.keys() | listed.keys()):
        if covered.get(name) != listed.get(name):
            yield f"{name}: is not {'what was signed' if name in covered else 'covered by the signature'}"


def criteria_differences(contents: Mapping[str, bytes], evidence: Evidence) -> Iterator[str]:
    """Whether ``kpis.toml`` of a package, where it has one, is what the run was judged by."""
    text = contents.get(CRITERIA)
    if text is not None and hashlib.sha256(text).hexdigest() != evidence.kpis_digest:
        yield f"{CRITERIA}: is not what the run was judged by"


def statement_differences(
    contents: Mapping[str, bytes], kpi: str, files: Mapping[str, Any], evidence: Evidence, keys: PublicKeys
) -> Iterator[str]:
    """What of a package's statement does not hold, a line each; ``files`` are those of its artifact."""
    yield from (f"{name}: is missing" for name in (STATEMENT, CRITERIA) if name not in contents)
    if STATEMENT not in contents:
        return
    try:
        text, said = _statement(STATEMENT, contents[STATEMENT], keys)
    except KpiError as error:
        yield error.message
        return
    if said.predicate.kpi != kpi:
        yield f'{STATEMENT}: is about the KPI "{said.predicate.kpi}", the package about "{kpi}"'
    gap = proof_gap(said.predicate.kpi, evidence)
    found = statement.contradictions(text, said, contents[EVIDENCE], evidence, unproven=gap, files=files)
    yield from (f"{STATEMENT}: {line}" for line in found)


@dataclass(frozen=True, slots=True)
class Stated:
    """A statement whose signature holds: its KPI, why that is not proven, what does not follow, a line each."""

    kpi: str
    unproven: str
    differences: list[str]


def verify_statement(path: Path, keys: PublicKeys, evidence_file: Path, artifact: Path | None) -> Stated:
    """Checks a statement in a file of its own; KpiError where it can't be read, or its signature does not hold."""
    text, said = _statement(path.name, _bytes(path, "name the file of a statement"), keys)
    raw = _bytes(evidence_file, "name the evidence with --evidence")
    evidence, wrong = parse_evidence(str(evidence_file), raw, None)
    kpi = said.predicate.kpi
    found = [f"{evidence_file.name}: {wrong}"] if wrong else []
    gap = proof_gap(kpi, evidence)
    try:
        found += statement.contradictions(text, said, raw, evidence, unproven=gap)
        for target in (target for target in evidence.targets if target.kpi == kpi):
            found += [f"{target.id}: {why}" for why in recheck(target, evidence)]
    except MALFORMED as error:
        found.append(f"{evidence_file.name}: what it says can't be understood: {type(error).__name__}: {error}"[:300])
    if artifact is not None:
        found += _artifact_differences(artifact, said)
    return Stated(kpi, gap, found)


def _statement(name: str, text: bytes, keys: PublicKeys) -> tuple[bytes, statement.Subject]:
    payload = opened(name, text, keys.statement)
    return payload, statement.read(name, payload)


def _artifact_differences(folder: Path, said: statement.Subject) -> Iterator[str]:
    """Whether a folder holds just the files that a statement is about; links are not followed."""
    here = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if not path.is_dir()}
    here.pop(MANIFEST, None)
    for name in sorted(said.files.keys() | here.keys()):
        path = here.get(name)
        if name not in said.files:
            yield f"{name}: the statement does not speak of it"
        elif path is None or unsafe(name) or path.is_symlink() or not path.is_file():
            yield f"{name}: is not in {folder}, or is not a plain file"
        elif file_digest(path) != said.files[name]["sha256"]:
            yield f"{name}: is not the file that the statement is about"


def _bytes(path: Path, remedy: str) -> bytes:
    try:
        with path.open("rb") as file:
            text = file.read(_LARGEST + 1)
    except OSError as error:
        raise KpiError(f"{path} can't be read: {error.strerror}", remedy) from None
    if len(text) > _LARGEST:
        raise KpiError(f"{path} is too large to be checked", remedy)
    return text
