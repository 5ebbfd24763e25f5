"""Checks a package: its files, its seals, that evidence and artifact belong together, that every verdict follows."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import harness
from harness.build.artifact import MANIFEST, Artifact, files_digest, manifest_checksum
from harness.core.errors import KpiError
from harness.core.strict_json import parsed
from harness.core.text import plain
from harness.evidence.attestation.keys import PublicKeys
from harness.evidence.model import Evidence, TargetLine
from harness.evidence.package.card import card, licence_notes
from harness.evidence.package.contents import (
    CARD,
    CRITERIA,
    EVIDENCE,
    FILES,
    LICENCES,
    PACKAGE,
    SCHEMA,
    SIGNATURE,
    STATEMENT,
    proof_gap,
)
from harness.evidence.package.front_matter import read_verdicts, stated
from harness.evidence.package.members import UNREADABLE, Member, Opened, opened, unsafe
from harness.evidence.package.signed import MALFORMED, criteria_differences, statement_differences, uncovered
from harness.evidence.reader import parse_evidence
from harness.evidence.seal import KEY_VARIABLE, broken_record
from harness.judge.replay import recheck

_PIECE = 1 << 20
_MANIFEST_FILE = f"{FILES}/{MANIFEST}"
# What is read whole, with the most that is read of it.
_READ = {EVIDENCE: 512 << 20, CARD: 16 << 20, LICENCES: 1 << 20, _MANIFEST_FILE: 64 << 20}
_KEPT = {**_READ, STATEMENT: 16 << 20, CRITERIA: 16 << 20}  # the last two: only where it was signed
_LONGEST_SIGNATURE = 64 << 20
_MOST_FILES, _MOST_SCORES, _MOST_LOOK = 100_000, 200_000, 1000
_SHOWN = 160


@dataclass
class Verified:
    """What was found: differences, a line each; why the KPI is not proven; whether there is a signature."""

    kpi: str = ""
    digest: str = ""
    files: int = 0
    unproven: str = ""
    signed: bool = False
    differences: list[str] = field(default_factory=list)


def verify(path: Path, keys: PublicKeys | None = None, *, trusted: bool = False) -> Verified:
    """Checks a folder or an archive; KpiError when it is not a package at all.

    With ``keys`` it must be signed with them, whatever its seals say. One that is ``trusted``, as the promises are,
    needs no secret to prove where it comes from.
    """
    key = None if trusted else os.environ.get(KEY_VARIABLE)
    with opened(path) as package:
        manifest = manifest_of(path, package)
        count = len(manifest["files"]) + 1  # the manifest does not list itself
        found = Verified(str(manifest["kpi"]), str(manifest["digest"]), count)
        if why := broken_record(manifest, key):
            found.differences.append(f"{PACKAGE}: {why}")
        if files_digest(manifest["files"]) != manifest["digest"]:
            found.differences.append(f"{PACKAGE}: its digest is not that of the files that it lists")
        package.allow(sum(entry["size"] for entry in manifest["files"].values()), len(manifest["files"]))
        contents = _contents(package, manifest["files"], found.differences)
    found.signed = SIGNATURE in contents
    found.files += found.signed
    if keys:
        own = {PACKAGE: hashlib.sha256(package.manifest).hexdigest()}
        listed = {name: str(entry["sha256"]) for name, entry in manifest["files"].items()}
        found.differences.extend(map(_short, uncovered(own | listed, contents, keys)))
    if set(contents) >= set(_READ):
        try:
            found.differences.extend(_consistent(manifest, contents, key, found, keys))
        except KpiError as error:
            found.differences.append(_short(error.message))
        except MALFORMED as error:
            found.differences.append(_short(f"what it says can't be understood: {type(error).__name__}: {error}"))
    return found


def manifest_of(path: Path, package: Opened) -> dict[str, Any]:
    """The package's manifest, of a shape that can be worked with."""
    try:
        data = parsed(package.manifest)
        files = data["files"]
        if (data["schema"], data["kind"]) != (SCHEMA, "kpi package"):
            raise KpiError(f"{path}: {PACKAGE} is written in another schema, this version reads {SCHEMA}")
        for name, entry in files.items():
            fits = type(entry["size"]) is int and entry["size"] >= 0 and re.fullmatch(r"[0-9a-f]{64}", entry["sha256"])
            if not fits or unsafe(name):
                raise KpiError(_short(f"{path}: {PACKAGE} lists {name!r}, which {unsafe(name) or 'makes no sense'}"))
        if len(files) > _MOST_FILES:
            raise KpiError(f"{path}: {PACKAGE} lists {len(files)} files")
        if not {"kpi", "digest", "artifact", "evidence", "proven", "forced", "binding", "harness"} <= set(data):
            raise KeyError("kpi")
    except MALFORMED as error:
        raise KpiError(_short(f"{path}: {PACKAGE} is not a package manifest: {error}"), "was it cut off?") from None
    manifest: dict[str, Any] = data
    return manifest


def _contents(package: Opened, listed: Mapping[str, Mapping[str, Any]], said: list[str]) -> dict[str, bytes]:
    """Compares every file with the list; returns those that are read whole and are what the list says."""
    names: set[str] = set()
    seen: dict[str, str] = {}
    kept: dict[str, bytes] = {}
    for member in package.others:
        name = member.name
        # Where upper and lower case are one, or accents are written in two ways, one file would replace the other.
        alike = unicodedata.normalize("NFC", name).casefold()
        if alike in seen:
            said.append(f"{_short(name)}: is there twice{_or_so(name, seen[alike])}")
        elif member.problem:
            said.append(f"{_short(name)}: {member.problem}")
        elif name == SIGNATURE and name not in listed and STATEMENT in listed:
            _keep(member, said, kept)
        elif name not in listed:
            said.append(f"{_short(name)}: was added")
        else:
            _compare(member, listed[name], said, kept)
        seen.setdefault(alike, name)
        names.add(name)
        if len(said) > _MOST_FILES:
            break
    said.extend(f"{_short(name)}: is missing" for name in listed if name not in names)
    said.extend(f"{name}: is not listed" for name in _READ if name not in listed)
    return kept


def _keep(member: Member, said: list[str], kept: dict[str, bytes]) -> None:
    """Reads the signature, which no list can hold, whole."""
    try:
        with member.open() as file:
            content = file.read(_LONGEST_SIGNATURE + 1)
    except UNREADABLE as error:
        said.append(_short(f"{member.name}: can't be read: {error}"))
        return
    if len(content) > _LONGEST_SIGNATURE:
        said.append(f"{member.name}: is too large to be checked")
    else:
        kept[member.name] = content


def _or_so(name: str, other: str) -> str:
    return "" if name == other else f", as {_short(other)}: they differ in case or accents alone"


def _compare(member: Member, entry: Mapping[str, Any], said: list[str], kept: dict[str, bytes]) -> None:
    """Digests one file, never more of it than is listed; keeps it where its text is needed."""
    name, size, most = member.name, entry["size"], _KEPT.get(member.name, 0)
    digest, length, pieces = hashlib.sha256(), 0, []
    try:
        with member.open() as file:
            while length <= size and (piece := file.read(min(_PIECE, size + 1 - length))):
                digest.update(piece)
                length += len(piece)
                if most >= size:
                    pieces.append(piece)
    except UNREADABLE as error:
        said.append(_short(f"{_short(name)}: can't be read: {error}"))
        return
    if length > size:
        said.append(f"{_short(name)}: is longer than the {size} bytes that are listed")
    elif length < size:
        said.append(f"{_short(name)}: has {length} of the {size} bytes that are listed")
    elif digest.hexdigest() != entry["sha256"]:
        said.append(f"{_short(name)}: was changed")
    elif name in _KEPT and size > most:
        said.append(f"{_short(name)}: is too large to be checked ({size} bytes)")
    elif name in _KEPT:
        kept[name] = b"".join(pieces)


def _consistent(
    manifest: Mapping[str, Any],
    contents: Mapping[str, bytes],
    key: str | None,
    found: Verified,
    keys: PublicKeys | None,
) -> Iterator[str]:
    """Whether evidence, artifact, card and manifest say the same, and the verdicts follow."""
    evidence, why = parse_evidence(EVIDENCE, contents[EVIDENCE], key)
    made = parsed(contents[_MANIFEST_FILE])
    if why:
        yield f"{EVIDENCE}: {why}"
    if evidence.seal is None or evidence.seal.digest != manifest["evidence"]["seal"]:
        yield f"{EVIDENCE}: it is not the evidence that was packed"
    yield from _artifact(manifest, made)
    yield from criteria_differences(contents, evidence)
    artifact = Artifact(Path(), made["key"], made["format"], made["digest"], made["files"], made["notes"])
    kpi = manifest["kpi"]
    targets = [target for target in evidence.targets if target.kpi == kpi]
    if not targets:
        yield _short(f'{EVIDENCE}: promises nothing for the KPI "{kpi}"')
        return
    _bearable(evidence)
    yield from _verdicts(targets, evidence, artifact)
    binding = proof_gap(kpi, evidence)
    found.unproven = _short(binding)
    if (manifest["proven"], manifest["forced"], manifest["binding"]) != (not binding, bool(binding), binding):
        said = "proven" if manifest["proven"] else "not proven"
        yield f"{PACKAGE}: says that the KPI is {said}, the evidence something else"
    if keys:
        yield from map(_short, statement_differences(contents, kpi, made["files"], evidence, keys))
    yield from _card(contents, targets)
    if manifest["harness"] == harness.__version__:
        # Another version may word it otherwise.
        again = card(kpi, evidence, made, artifact.size, binding=binding, forced=bool(binding))
        texts = {CARD: again, LICENCES: licence_notes(kpi, evidence, made)}
        differing = [name for name, text in texts.items() if contents[name] != text.encode()]
        yield from (f"{name}: says something else than the evidence" for name in differing)


def _verdicts(targets: list[TargetLine], evidence: Evidence, artifact: Artifact) -> Iterator[str]:
    for target in targets:
        if target.artifact not in ("", artifact.digest):
            yield _short(f"{target.id}: was measured of another artifact, {target.artifact[:12]}")
        for why in recheck(target, evidence, artifact):
            yield _short(f"{target.id}: {why}")


def _artifact(manifest: Mapping[str, Any], made: Mapping[str, Any]) -> Iterator[str]:
    """Whether the artifact is whole, its own manifest unchanged, and no other file is there."""
    if manifest_checksum(made) != made["checksum"] or files_digest(made["files"]) != made["digest"]:
        yield f"{_MANIFEST_FILE}: was changed after it was made"
    if made["digest"] != manifest["artifact"]["digest"]:
        yield f"{_MANIFEST_FILE}: is that of another artifact, {str(made['digest'])[:12]}"
    packed = {
        name.removeprefix(f"{FILES}/"): (entry["size"], entry["sha256"])
        for name, entry in manifest["files"].items()
        if name.startswith(f"{FILES}/") and name != _MANIFEST_FILE
    }
    known = {name: (entry["size"], entry["sha256"]) for name, entry in made["files"].items()}
    for name in sorted(set(packed) | set(known)):
        if packed.get(name) != known.get(name):
            yield f"{FILES}/{_short(name)}: is not the file that the artifact was measured with"
    extra = set(manifest["files"]) - {f"{FILES}/{name}" for name in packed} - set(_KEPT)
    yield from (f"{_short(name)}: belongs to no package" for name in sorted(extra))


def _card(contents: Mapping[str, bytes], targets: list[TargetLine]) -> Iterator[str]:
    try:
        said = {str(entry["id"]): entry for entry in read_verdicts(contents[CARD].decode())}
    except MALFORMED as error:
        yield _short(f"{CARD}: {error}")
        return
    wanted = {target.id: stated(target) for target in targets}
    for name in [*wanted, *(set(said) - set(wanted))]:
        if said.get(name) != wanted.get(name):
            verdict = said.get(name, {}).get("verdict", "nothing")
            yield _short(f"{CARD}: says {verdict} of {name}, the evidence something else")


def _bearable(evidence: Evidence) -> None:
    """ValueError for evidence that would take all memory, or for ever, to derive a verdict from."""
    looks = evidence.settings.looks
    if len(looks) > _MOST_LOOK or any(type(look) is not int or not 0 < look <= _MOST_LOOK for look in looks):
        raise ValueError("its looks are no numbers of processes")
    for measurement in evidence.measurements:
        if any(len(scores) > _MOST_SCORES for scores in measurement.scores.values()):
            raise ValueError(f"more than {_MOST_SCORES} scores")


def _short(text: str) -> str:
    safe = plain(text)
    return safe if len(safe) <= _SHOWN else f"{safe[:_SHOWN]}..."
