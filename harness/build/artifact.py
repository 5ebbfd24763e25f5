"""An artifact: a directory of files ready to deploy, with a manifest that says what they are."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from harness.core.errors import KpiError
from harness.core.naming import Naming
from harness.core.state import StateInput
from harness.workloads.checkpoint import file_digest

MANIFEST = "manifest.json"


class Damaged(KpiError):
    """An artifact's files are not those that its manifest lists."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """``digest`` is the SHA-256 over names, sizes and digests of the files; ``size`` their sum in bytes."""

    path: Path
    key: str
    format: str
    digest: str
    files: Mapping[str, Mapping[str, Any]]
    notes: Mapping[str, Any]

    @property
    def size(self) -> int:
        """Bytes of all files needed to deploy; the manifest is not one of them."""
        return sum(int(entry["size"]) for entry in self.files.values())

    @property
    def steps(self) -> list[Mapping[str, Any]]:
        """What the passes that made it left in its notes, the first one first."""
        return [*self.notes.get("before", ()), *([self.notes["step"]] if "step" in self.notes else [])]

    @property
    def released(self) -> str:
        """Which release it is, in a few words; empty for what was built here."""
        return str(self.notes.get("released", ""))

    @property
    def release(self) -> str:
        """The root digest of the package that it was released in; empty for what was built here."""
        return str(self.steps[-1]["notes"]["digest"]) if self.released else ""

    @property
    def remarks(self) -> list[str]:
        """What a person should know of how it was made."""
        return [f"{step['pass']}: {text}" for step in self.steps for text in step.get("remarks", ())]


def write_manifest(path: Path, key: str, made: str, notes: Mapping[str, Any]) -> Artifact:
    """Digests the files below ``path`` and writes the manifest next to them."""
    files: dict[str, dict[str, Any]] = {}
    for file in sorted(p for p in path.rglob("*") if p.is_file() and p.name != MANIFEST):
        stat = file.stat()
        files[file.relative_to(path).as_posix()] = {
            "size": stat.st_size,
            "mtime_ns": stat.st_mtime_ns,
            "sha256": file_digest(file),
        }
    if not files:
        raise KpiError(f"the pass left no files ({key[:12]})")
    artifact = Artifact(path, key, made, files_digest(files), files, notes)
    content = {"schema": 1, "key": key, "format": made, "digest": artifact.digest, "files": files, "notes": notes}
    content["checksum"] = manifest_checksum(content)
    (path / MANIFEST).write_text(json.dumps(content, indent=1, sort_keys=True), encoding="utf-8")
    return artifact


def read_artifact(path: Path, *, thorough: bool = False) -> Artifact:
    """Reads and checks an artifact; Damaged when a file is missing or changed.

    A file whose size and modification time are those of the manifest is believed; any other is digested again, as
    all are with ``thorough``.
    """
    try:
        data = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        files: dict[str, dict[str, Any]] = data["files"]
        for name, entry in files.items():
            stat = (path / name).stat()
            same = (stat.st_size, stat.st_mtime_ns) == (entry["size"], entry["mtime_ns"])
            if stat.st_size != entry["size"] or (
                (thorough or not same) and file_digest(path / name) != entry["sha256"]
            ):
                raise Damaged(f"{name} of artifact {path.name[:12]} was changed after it was made")
        if files_digest(files) != data["digest"] or manifest_checksum(data) != data["checksum"]:
            raise Damaged(f"the manifest of artifact {path.name[:12]} was changed after it was made")
        return Artifact(path, data["key"], data["format"], data["digest"], files, data["notes"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Damaged(f"artifact {path.name[:12]} is damaged: {error}") from error


@dataclass(frozen=True, slots=True)
class TensorFacts:
    """What a process that measures a model of tensors must know of it.

    ``batch`` is the only batch size that it takes, None for any; ``batch_names`` are what it calls its batch axis;
    ``state`` are the inputs that carry state from frame to frame; ``naming`` is what the workload calls its inputs and
    outputs.
    """

    batch: int | None = None
    batch_names: tuple[str, ...] = ("batch",)
    state: tuple[StateInput, ...] = ()
    naming: Naming = field(default_factory=Naming)


@cache
def tensor_facts(path: Path) -> TensorFacts:
    """The facts in an artifact's manifest, read once in a process: nothing is checked.

    Without a manifest the batch axis has the name that our exports give it.
    """
    try:
        notes = json.loads((path / MANIFEST).read_text(encoding="utf-8"))["notes"]
    except (OSError, ValueError, KeyError):
        return TensorFacts()
    names = tuple(notes.get("batch_names", TensorFacts().batch_names))
    naming = Naming.of(**notes["naming"]) if "naming" in notes else Naming()
    return TensorFacts(notes.get("batch"), names, tuple(map(StateInput.from_json, notes.get("state", ()))), naming)


def manifest_checksum(content: Mapping[str, Any]) -> str:
    """SHA-256 over all of a manifest but its own ``checksum``."""
    rest = {name: value for name, value in content.items() if name != "checksum"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def files_digest(files: Mapping[str, Mapping[str, Any]]) -> str:
    """SHA-256 over names, sizes and digests of files; each entry holds its ``size`` in bytes and its ``sha256``."""
    digest = hashlib.sha256()
    for name, entry in sorted(files.items()):
        digest.update(f"{name}\0{entry['size']}\0{entry['sha256']}\n".encode())
    return digest.hexdigest()
