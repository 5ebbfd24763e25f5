"""The file of the evidence, from which a stranger's program can recompute every verdict: made of a run's journal."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from harness.core.codec import decode, encode
from harness.core.errors import KpiError
from harness.core.files import write_chunks_atomically
from harness.evidence.model import HEAD, Evidence, TargetResult
from harness.evidence.reader import read_evidence
from harness.evidence.seal import END, MARK, sealed
from harness.evidence.writer import counts
from harness.measure.journal import Found, Journaled, ReachedMachine, read_journals

PUBLISHED = (
    "evidence.json",
    "summary.md",
    "report.html",
    "badge.svg",
    "badge.json",
    "gl-code-quality-report.json",
)
"""What ``.kpi/latest`` shows of a run, next to its ``results/``."""


def chunks(
    head: Evidence, measurements: Iterable[Journaled], key: str | None, digest: hashlib._Hash | None = None
) -> Iterator[bytes]:
    """The bytes of the file: ``head`` without its measurements, these, and the seal over both.

    A target and a process are a line each. Nothing but one line is in memory twice. ``digest`` is fed what is sealed.
    """
    digest = digest or hashlib.sha256()
    for chunk in _unsealed(head, measurements):
        digest.update(chunk)
        yield chunk
    yield MARK + encode(sealed(digest.hexdigest(), key)) + END


def _unsealed(head: Evidence, measurements: Iterable[Journaled]) -> Iterator[bytes]:
    yield b"{\n"
    for name in HEAD:
        yield b'"%s":%s,\n' % (name.encode(), encode(getattr(head, name)))
    yield b'"targets":['
    for place, target in enumerate(head.targets):
        yield (b",\n" if place else b"\n") + encode(target)
    yield b'\n],\n"measurements":['
    for place, measurement in enumerate(measurements):
        yield b",\n" if place else b"\n"
        yield b"\n".join(measurement.lines())
    yield b"\n],\n"


def write_evidence(path: Path, evidence: Evidence, key: str | None) -> Evidence:
    """Writes evidence that is whole in memory, such as what was merged, in one step; returns it with its seal."""
    digest = hashlib.sha256()
    kept = (Journaled.of(measurement) for measurement in evidence.measurements)
    write_chunks_atomically(path, chunks(evidence, kept, key, digest))
    return replace(evidence, seal=sealed(digest.hexdigest(), key))


def compose(folder: Path, head: Evidence, key: str | None) -> Evidence:
    """Makes ``evidence.json`` of what the journals of a run's folder hold; returns what is in it now."""
    return _written(folder, head, read_journals(folder), key)


def _written(folder: Path, head: Evidence, found: Found, key: str | None) -> Evidence:
    path, head = folder / "evidence.json", _with_reached(head, found.machines)
    write_chunks_atomically(path, chunks(head, found.measurements.values(), key))
    return read_evidence(path, None)[0]


def _with_reached(head: Evidence, found: Mapping[str, bytes]) -> Evidence:
    """Adds what was found at machines that were reached, which the process that describes a run need not have done."""
    machines = {name: decode(met, ReachedMachine) for name, met in found.items()}
    kpis = tuple(
        replace(kpi, elsewhere=met.elsewhere, other_processor=met.other_processor)
        if (met := machines.get(kpi.machine))
        else kpi
        for kpi in head.kpis
    )
    return replace(head, kpis=kpis, reached={name: met.machine for name, met in machines.items()})


def composed(folder: Path, key: str | None) -> Evidence:
    """The same of a run that was killed, or still goes on: described and judged as far as its journal says.

    KpiError where the folder holds no journal of a run.
    """
    found = read_journals(folder)
    if not found.run:
        raise KpiError(f"there is no run in {folder}", "give the folder of a run, or its evidence.json")
    head = decode(found.run, Evidence)
    answers = {key: decode(answer, TargetResult) for key, answer in found.answers.items()}
    targets = [
        replace(target, **answers[target.key].parts) if target.key in answers else target for target in head.targets
    ]
    return _written(folder, replace(head, targets=targets, verdicts=counts(targets)), found, key)


def publish(folder: Path, out: Path) -> None:
    """Makes ``out`` (``.kpi/latest``) show the run in ``folder``."""
    if folder == out:
        return
    fresh = Path(tempfile.mkdtemp(prefix=".latest-", dir=out.parent))
    for name in PUBLISHED:
        if (folder / name).exists():
            shutil.copy2(folder / name, fresh / name)
    if (folder / "results").exists():
        shutil.copytree(folder / "results", fresh / "results")
    if out.is_symlink() or out.is_file():
        out.unlink()
    elif out.exists():
        shutil.rmtree(out)
    fresh.rename(out)
    out.chmod(0o755)
