"""Takes the artifact out of a package that was verified: nothing else of it is written anywhere."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.build.artifact import MANIFEST, files_digest
from harness.core.errors import KpiError
from harness.evidence.package.contents import EVIDENCE, FILES
from harness.evidence.package.members import UNREADABLE, Member, opened
from harness.evidence.package.verifying import verify
from harness.evidence.reader import parse_evidence

_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What a package says of the artifact that was taken out of it.

    ``steps`` are what the passes that made it left, ``notes`` the rest of its manifest; ``told`` names it for
    people.
    """

    kpi: str
    workload: str
    task: str
    format: str
    notes: Mapping[str, Any]
    steps: list[Mapping[str, Any]]
    told: str


def unpack(path: Path, digest: str, out: Path, *, told: str, own: bool) -> Unpacked:
    """Verifies the package and writes its artifact's files, without the manifest, into ``out``.

    Raises KpiError, in one line, where it is not the package of this root digest, or anything in it is not as listed;
    ``told`` names it. ``own``: it lies among the project's files, so that no key need prove where it comes from.
    """
    found = verify(path, trusted=own)
    if found.differences:
        more = f" (and {len(found.differences) - 1} more)" if len(found.differences) > 1 else ""
        raise KpiError(f"{told}: {found.differences[0]}{more}", f"`kpi verify {path.name}` says all; fetch it again")
    if found.digest != digest:
        raise KpiError(f"{told}: the package has the digest {found.digest[:16]}..., not {digest[:16]}...")
    if found.unproven:
        raise KpiError(
            f"{told}: the package was made of a KPI that was not proven: {found.unproven}", "release another"
        )
    kept: dict[str, bytes] = {}
    with opened(path) as package:
        manifest = json.loads(package.manifest)
        listed = manifest["files"]
        if files_digest(listed) != digest:
            raise KpiError(f"{told}: the package changed while it was read")
        package.allow(sum(entry["size"] for entry in listed.values()), len(listed))
        for member in package.others:
            name = member.name.removeprefix(f"{FILES}/")
            if member.name in (EVIDENCE, f"{FILES}/{MANIFEST}"):
                kept[member.name] = _copied(member, listed[member.name], None, told)
            elif name != member.name:
                _copied(member, listed[member.name], out / name, told)
    made = json.loads(kept[f"{FILES}/{MANIFEST}"])
    evidence, _ = parse_evidence(EVIDENCE, kept[EVIDENCE], None)
    task = next((line.task for line in evidence.workloads if line.name == manifest["workload"]), "")
    notes = dict(made["notes"])
    step = [notes["step"]] if "step" in notes else []
    return Unpacked(
        kpi=manifest["kpi"],
        workload=manifest["workload"],
        task=task,
        format=made["format"],
        notes=notes,
        steps=[*notes.get("before", ()), *step],
        told=f"{digest[:12]} of {manifest['kpi']}, measured {evidence.started[:10]}",
    )


def _copied(member: Member, entry: Mapping[str, Any], out: Path | None, told: str) -> bytes:
    """Copies a file to ``out``, or returns what is in it; never more than is listed, and only what was verified."""
    digest, left, pieces = hashlib.sha256(), int(entry["size"]), []
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
    try:
        with member.open() as file:
            writing = out.open("xb") if out is not None else None
            try:
                while left and (piece := file.read(min(_PIECE, left))):
                    digest.update(piece)
                    left -= len(piece)
                    if writing is None:
                        pieces.append(piece)
                    else:
                        writing.write(piece)
            finally:
                if writing is not None:
                    writing.close()
    except UNREADABLE as error:
        raise KpiError(f"{told}: {member.name} can't be unpacked: {error}") from None
    if digest.hexdigest() != entry["sha256"]:
        raise KpiError(f"{told}: {member.name} changed while it was unpacked")
    return b"".join(pieces)
