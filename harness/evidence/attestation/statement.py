"""The statement of a KPI (in-toto v1): of which files it speaks, which verdicts they got, and on what these rest."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from harness.build.artifact import files_digest
from harness.core.codec import encode, of_plain, plain
from harness.core.errors import KpiError
from harness.core.numbers import Figure
from harness.core.strict_json import parsed
from harness.evidence.model import Evidence, TargetLine
from harness.judge.verdict import Verdict
from harness.measure.machine.detect import Detected

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://kpi-tests/verdicts/v1"
"""What is stated; docs/attestation.md describes it."""
_FIELDS = {"_type", "subject", "predicateType", "predicate"}


@dataclass(frozen=True, slots=True, kw_only=True)
class StatedVerdict:
    """One target with its answer, numbers in base units of ``unit``; ``attempt`` is how often it was tried."""

    id: str
    metric: str
    scenario: str | None
    bound: str
    op: str
    limit: Figure
    relation: str
    versus: str | None
    unit: str
    verdict: Verdict
    reason: str
    value: Figure
    low: Figure
    high: Figure
    confidence: float | None
    n: int
    of: str
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Criteria:
    """What was promised before anything was measured: SHA-256 of ``kpis.toml`` as the run found it."""

    file: str
    sha256: str
    commit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceFile:
    """What the verdicts follow from: SHA-256 of ``evidence.json``."""

    sha256: str
    started: str
    written: str
    complete: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StatedRuntime:
    """What ran, as it said itself."""

    name: str
    version: str
    device: str
    precision: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Predicate:
    """What is stated of the files; ``unproven`` says why the KPI is not proven, empty where it is.

    ``artifact`` is the digest that the evidence knows the files by: SHA-256 over names, sizes and digests.
    ``machines`` are those that were measured on, by the file of the evidence where several were merged.
    """

    kpi: str
    description: str
    workload: str
    recipe: str
    machine: str
    device: str
    artifact: str
    proven: bool
    unproven: str
    confidence: float
    attempts: str
    verdicts: tuple[StatedVerdict, ...]
    criteria: Criteria
    evidence: EvidenceFile
    machines: Mapping[str, Detected]
    processor_class: str
    harness: str
    runtimes: tuple[StatedRuntime, ...]
    libraries: Mapping[str, str]
    plugins: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Subject:
    """What a statement says it speaks of: ``files`` with ``size`` in bytes and ``sha256``, and the predicate."""

    files: Mapping[str, Mapping[str, Any]]
    predicate: Predicate


def payload(
    kpi: str, raw: bytes, evidence: Evidence, files: Mapping[str, Mapping[str, Any]], *, unproven: str
) -> bytes:
    """The statement's bytes; ``raw`` are those of the evidence, ``files`` the artifact's by name."""
    subjects = [
        {"name": name, "digest": {"sha256": entry["sha256"]}, "annotations": {"size": entry["size"]}}
        for name, entry in sorted(files.items())
    ]
    stated = _predicate(kpi, raw, evidence, files_digest(files), unproven)
    return encode({"_type": STATEMENT, "subject": subjects, "predicateType": PREDICATE, "predicate": plain(stated)})


def read(name: str, text: bytes) -> Subject:
    """A statement that was signed, as far as its own words go; KpiError where it is another, or none."""
    try:
        data = parsed(text)
        if data["_type"] != STATEMENT or set(data) != _FIELDS:
            raise ValueError(f"expected is {STATEMENT}")
        if data["predicateType"] != PREDICATE:
            raise ValueError(f"it states {data['predicateType']!r:.80}, expected is {PREDICATE}")
        files = {each["name"]: _file(each) for each in data["subject"]}
        if not files or len(files) != len(data["subject"]):
            raise ValueError("its subjects are not files with names of their own")
        return Subject(files, of_plain(data["predicate"], Predicate))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise KpiError(f"{name} is not a statement of verdicts: {error}") from None


def contradictions(
    text: bytes, said: Subject, raw: bytes, evidence: Evidence, *, unproven: str, files: Mapping[str, Any] | None = None
) -> Iterator[str]:
    """What of a statement does not follow from evidence and files, a line each.

    ``files`` are those that the artifact is said to consist of elsewhere, such as in a package.
    """
    kpi = said.predicate.kpi
    if evidence.by_kpi.get(kpi) is None:
        yield f'it is about the KPI "{kpi}", of which the evidence says nothing'
        return
    if files is not None and _known(files) != _known(said.files):
        yield "it is about another artifact: its files are not those that are here"
    measured = {target.artifact for target in evidence.targets if target.kpi == kpi} - {""}
    if measured != {files_digest(said.files)}:
        yield "it is about another artifact than the evidence"
    again = parsed(payload(kpi, raw, evidence, said.files, unproven=unproven))["predicate"]
    for key, stated in parsed(text)["predicate"].items():
        if key not in again or stated != again[key]:
            yield from _differing(key, stated, again.get(key))


def _differing(key: str, stated: Any, follows: Any) -> Iterator[str]:
    if key == "verdicts" and [v["id"] for v in stated] == [v["id"] for v in follows]:
        for one, other in zip(stated, follows, strict=True):
            for field in (f for f in one if one[f] != other.get(f)):
                said, true = f"{one[field]!r:.60}", f"{other.get(field)!r:.60}"
                yield f"{one['id']}: {field} is stated as {said}, the evidence says {true}"
    elif key == "evidence":
        yield "it was made of other evidence"
    else:
        yield f"its {key} is not that of the evidence"


def _predicate(kpi: str, raw: bytes, evidence: Evidence, artifact: str, unproven: str) -> Predicate:
    line = evidence.by_kpi[kpi]
    targets = [target for target in evidence.targets if target.kpi == kpi]
    return Predicate(
        kpi=kpi,
        description=line.description,
        workload=line.workload,
        recipe=line.recipe,
        machine=line.machine,
        device=line.device,
        artifact=artifact,
        proven=not unproven,
        unproven=unproven,
        confidence=evidence.settings.confidence,
        attempts=evidence.settings.attempts,
        verdicts=tuple(map(_verdict, targets)),
        criteria=Criteria(file=evidence.file, sha256=evidence.kpis_digest, commit=evidence.commit),
        evidence=EvidenceFile(
            sha256=hashlib.sha256(raw).hexdigest(),
            started=evidence.started,
            written=evidence.written,
            complete=evidence.complete,
        ),
        machines=evidence.machines or {"": evidence.machine},
        processor_class=evidence.processor_class,
        harness=evidence.harness,
        runtimes=_runtimes(targets, evidence),
        libraries=evidence.libraries,
        plugins=evidence.plugins,
    )


def _verdict(target: TargetLine) -> StatedVerdict:
    return StatedVerdict(**{name: getattr(target, name) for name in (each.name for each in fields(StatedVerdict))})


def _runtimes(targets: Sequence[TargetLine], evidence: Evidence) -> tuple[StatedRuntime, ...]:
    """What ran in the measurements that the verdicts rest on, each once."""
    found = {
        StatedRuntime(name=proof.runtime, version=proof.version, device=proof.device, precision=proof.precision)
        for target in targets
        for used in evidence.of(target)
        for proof in (process.proof for process in used.processes)
    }
    return tuple(sorted(found, key=lambda each: (each.name, each.version, each.device, each.precision)))


def _file(subject: Mapping[str, Any]) -> dict[str, Any]:
    size, digest = subject["annotations"]["size"], subject["digest"]
    if set(digest) != {"sha256"} or type(size) is not int:
        raise ValueError("a subject has no size, or not a SHA-256 alone")
    return {"size": size, "sha256": str(digest["sha256"])}


def _known(files: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[int, str]]:
    return {name: (entry["size"], entry["sha256"]) for name, entry in files.items()}
