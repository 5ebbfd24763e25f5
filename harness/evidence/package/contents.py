"""What goes into a package: the artifact of a KPI from the store, its evidence, a model card, the digests of all."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import harness
from harness.build.artifact import MANIFEST, Artifact, Damaged, files_digest, read_artifact
from harness.build.store import Store
from harness.core.errors import KpiError, SpecError, suggest
from harness.core.file_names import file_name
from harness.evidence.model import Evidence, TargetLine
from harness.evidence.package.card import card, licence_notes, licence_of
from harness.evidence.seal import KEY_VARIABLE, sealed_record
from harness.evidence.text import why
from harness.judge.replay import recheck
from harness.judge.verdict import Verdict
from harness.workloads.checkpoint import file_digest

PACKAGE, EVIDENCE, CARD, LICENCES = "package.json", "evidence.json", "README.md", "LICENCES.md"
CRITERIA, STATEMENT, SIGNATURE = "kpis.toml", "attestation.intoto.jsonl", "model.sig"
"""What a package that was signed holds as well; the last is of all other files, and listed nowhere."""
FILES = "artifact"
"""The folder of a package that holds the artifact."""
SCHEMA = 1
MARK = "-not-proven"
_BINDS = (Verdict.FAIL, Verdict.ERROR, Verdict.INCONCLUSIVE, Verdict.OFF_TARGET, Verdict.UNAVAILABLE)


@dataclass(frozen=True, slots=True)
class Contents:
    """The files of a package: bytes of those that are written now, paths of the artifact's own.

    ``sizes`` are bytes, ``digests`` SHA-256, both by path within the package; ``digest`` is the root over them.
    ``values`` are what was measured, in base units, by target as in ``p50``.
    """

    kpi: str
    name: str
    forced: bool
    binding: str
    digest: str
    artifact: str
    values: Mapping[str, float]
    files: Mapping[str, bytes | Path]
    sizes: Mapping[str, int]
    digests: Mapping[str, str]


Attest = Callable[["Gathered"], Mapping[str, bytes]]
"""What makes further files of what was gathered, by name."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """What is known of a KPI: the evidence and its bytes, the artifact, why it is not proven (empty where it is)."""

    kpi: str
    raw: bytes
    evidence: Evidence
    artifact: Artifact
    binding: str


class NotProven(KpiError):
    """The evidence does not prove the KPI, and the user did not ask to pack it all the same."""


def collect(kpi: str, evidence_file: Path, store: Store, *, force: bool, attest: Attest | None = None) -> Contents:
    """Gathers and checks everything; NotProven when the KPI is not, unless forced; KpiError when something is wrong.

    Evidence that does not hold, or an artifact that is gone or damaged, is refused even with ``force``.
    """
    gathered = gather(kpi, *read_whole(evidence_file), store, force=force)
    return _contents(gathered, attest(gathered) if attest else {})


def gather(kpi: str, raw: bytes, evidence: Evidence, store: Store, *, force: bool) -> Gathered:
    """The same of evidence that was read, without the files of a package."""
    targets = [target for target in evidence.targets if target.kpi == kpi]
    if not targets:
        raise SpecError([suggest(kpi, {target.kpi for target in evidence.targets}, "KPI")])
    binding = proof_gap(kpi, evidence)
    if binding and not force:
        raise NotProven(f"{kpi} is not proven: {binding}", "--force packs it all the same, and writes so on it")
    artifact = _artifact(targets, store)
    for target in targets:
        for said in recheck(target, evidence, artifact):
            raise KpiError(f"{target.id}: {said}", "the evidence contradicts itself; run the KPI again")
    return Gathered(kpi, raw, evidence, artifact, binding)


def proof_gap(kpi: str, evidence: Evidence) -> str:
    """Why the evidence does not prove the KPI, the binding target first; empty when it does."""
    targets = [target for target in evidence.targets if target.kpi == kpi]
    return _binding_target(targets) or _unfinished(kpi, evidence)


def _binding_target(targets: Sequence[TargetLine]) -> str:
    """The target that most prevents a KPI from being proven, with its reason; empty when all passed."""
    missed = [target for target in targets if target.verdict != Verdict.PASS]
    if not missed:
        return ""
    worst = min(missed, key=lambda target: _BINDS.index(target.verdict))
    more = f" (and {len(missed) - 1} more of its {len(targets)} targets)" if len(missed) > 1 else ""
    return f"{worst.id} is {worst.verdict}: {why(worst)}{more}"


def _unfinished(kpi: str, evidence: Evidence) -> str:
    """What else forbids to call the KPI proven: a run that was stopped, a merge that did not fit together."""
    if not evidence.complete:
        return "the run did not come to its end"
    others = {target.id for target in evidence.targets if target.kpi != kpi}
    problems = evidence.problems
    return next((said for said in problems if not any(said.startswith(f"{name}: ") for name in others)), "")


def read_whole(path: Path) -> tuple[bytes, Evidence]:
    """The bytes of evidence and what they say; KpiError where its seal does not hold."""
    from harness.evidence.reader import parse_evidence

    key = os.environ.get(KEY_VARIABLE)
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise KpiError(f"{path} can't be read: {error.strerror}") from error
    evidence, wrong = parse_evidence(str(path), raw, key)
    if wrong:
        raise KpiError(f"{path}: {wrong}", "package the evidence as the run wrote it")
    return raw, evidence


def _artifact(targets: Sequence[TargetLine], store: Store) -> Artifact:
    digests = {target.artifact for target in targets} - {""}
    if len(digests) > 1:
        raise KpiError(f"the targets are about {len(digests)} artifacts: {', '.join(sorted(d[:12] for d in digests))}")
    if not digests:
        raise KpiError(f"the evidence measured no artifact of {targets[0].kpi}", "run the KPI first")
    (digest,) = digests
    damaged: Damaged | None = None
    for path in store.artifacts():
        try:
            if json.loads((path / MANIFEST).read_text(encoding="utf-8"))["digest"] == digest:
                return read_artifact(path, thorough=True)
        except Damaged as error:
            damaged = error
        except (OSError, ValueError, KeyError, TypeError):
            continue  # some other artifact's manifest, which `kpi cache verify` names
    again = f"`pytest -k {targets[0].kpi}` builds it again; package the evidence of that run"
    if damaged is not None:
        raise KpiError(f"the artifact {digest[:12]} in the store is damaged: {damaged.message}", again)
    raise KpiError(f"the artifact {digest[:12]} is not in the store {store.root} any more", again)


def _contents(gathered: Gathered, more: Mapping[str, bytes]) -> Contents:
    kpi, evidence, artifact, binding = gathered.kpi, gathered.evidence, gathered.artifact, gathered.binding
    forced = bool(binding)
    manifest_file = artifact.path / MANIFEST
    manifest = json.loads(manifest_file.read_text(encoding="utf-8"))
    files: dict[str, bytes | Path] = {
        CARD: card(kpi, evidence, manifest, artifact.size, binding=binding, forced=forced).encode(),
        LICENCES: licence_notes(kpi, evidence, manifest).encode(),
        EVIDENCE: gathered.raw,
        **more,
        f"{FILES}/{MANIFEST}": manifest_file.read_bytes(),
        **{f"{FILES}/{name}": artifact.path / name for name in artifact.files},
    }
    listed: dict[str, dict[str, Any]] = {
        name: {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        if isinstance(content, bytes)
        else {"size": content.stat().st_size, "sha256": _digest(artifact, name, content)}
        for name, content in sorted(files.items())
    }
    record = evidence.by_kpi[kpi]
    licence, source = licence_of(record, evidence, manifest)
    package = {
        "schema": SCHEMA,
        "kind": "kpi package",
        "harness": harness.__version__,
        **{name: getattr(record, name) for name in ("workload", "recipe", "machine", "device")},
        "kpi": kpi,
        "proven": not binding,
        "forced": forced,
        "binding": binding,
        "artifact": {"digest": artifact.digest, "key": artifact.key, "format": artifact.format, "size": artifact.size},
        "evidence": {"seal": evidence.digest, "commit": evidence.commit, "written": evidence.written},
        "licence": {"says": licence, "source": source},
        "digest": files_digest(listed),
        "files": listed,
    }
    sealed = json.dumps(sealed_record(package, os.environ.get(KEY_VARIABLE)), indent=1, sort_keys=True).encode() + b"\n"
    measured = {target.id: float(target.value) for target in evidence.targets if target.kpi == kpi}
    return Contents(
        kpi=kpi,
        name=file_name(kpi) + (MARK if forced else ""),
        forced=forced,
        binding=binding,
        digest=files_digest(listed),
        artifact=artifact.digest,
        values={file_name(name.removeprefix(f"{kpi}:")): v for name, v in measured.items() if math.isfinite(v)},
        files={PACKAGE: sealed, **dict(sorted(files.items()))},
        sizes={PACKAGE: len(sealed), **{name: entry["size"] for name, entry in listed.items()}},
        digests={
            PACKAGE: hashlib.sha256(sealed).hexdigest(),
            **{name: entry["sha256"] for name, entry in listed.items()},
        },
    )


def _digest(artifact: Artifact, name: str, path: Path) -> str:
    known = artifact.files.get(name.removeprefix(f"{FILES}/"))
    return str(known["sha256"]) if known else file_digest(path)
