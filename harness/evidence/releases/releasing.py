"""Moves a pointer: to what a run proved, or back to what was released before; refuses everything else."""

from __future__ import annotations

import tempfile
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from harness.build.store import Store
from harness.core.errors import KpiError
from harness.evidence.merge import of_one_attempt
from harness.evidence.model import Evidence
from harness.evidence.package.contents import NotProven, collect
from harness.evidence.reader import read_evidence
from harness.evidence.releases.base import ReleasePlace
from harness.evidence.releases.moves import RELEASE, ROLLBACK, Move, previous
from harness.evidence.releases.unpacking import Unpacked
from harness.evidence.text import why
from harness.judge.verdict import Verdict
from harness.spec.catalog import release_place


@dataclass(frozen=True, slots=True)
class Moved:
    """What a pointer pointed to ``before``, if anything, and points to now; the same where nothing was to be done.

    ``compared`` says whether the KPI was held against what was released before.
    """

    before: Move | None
    now: Move
    compared: bool = True


def release(kpi: str, evidence_file: Path, store: Store, place: ReleasePlace, against: Collection[str] | None) -> Moved:
    """Packs what a run proved of a KPI, brings the package to the place, and points to it.

    ``against`` are the recipes of the KPI's workload that are what this place points to, None where that is not known.
    Raises KpiError, in one line, where the ledger is not green for the KPI, something else is released by now than what
    it was held against, or of another workload or task; the pointer then stays where it is.
    """
    try:
        contents = collect(kpi, evidence_file, store, force=False)
    except NotProven as error:
        raise KpiError(error.message, f"nothing was released; {place} stays as it is") from None
    evidence, _ = read_evidence(evidence_file, None)
    _check_green(kpi, evidence)
    _check_attempts(kpi, evidence, evidence_file)
    before = place.now()
    move = Move(
        action=RELEASE,
        moved=_now(),
        digest=contents.digest,
        place="",
        kpi=kpi,
        artifact=contents.artifact,
        evidence=evidence.digest,
        commit=evidence.commit,
    )
    if before is not None:
        _check_alike(kpi, evidence, _fetched(place, before), place)
    if before is not None and before.digest == move.digest:
        return Moved(before, before)
    compared = _held_against(kpi, evidence, against, before, place)
    with tempfile.TemporaryDirectory(prefix="kpi-release-") as scratch:
        after = place.put(contents, move, Path(scratch))
        try:
            _fetched(place, after)
            place.move(before, after)
        except BaseException:
            place.forget(after)
            raise
    return Moved(before, after, compared)


def rollback(place: ReleasePlace) -> Moved:
    """Points to what was released before; KpiError where there was nothing, or it is not there any more."""
    moves, before = place.moves(), place.current()
    if not moves or moves[-1].digest != before.digest:
        raise KpiError(
            f"{place} points to {before.digest[:12]}, its history ends elsewhere: it was moved by other means",
            "point it to one of the releases that `kpi release --history` shows, by those means",
        )
    after = replace(previous(moves, str(place)), action=ROLLBACK, moved=_now())
    _fetched(place, after)
    place.move(before, after)
    return Moved(before, after)


def _check_green(kpi: str, evidence: Evidence) -> None:
    """Whether another KPI speaks against the same recipe, though this one is proven."""
    own = evidence.by_kpi[kpi]
    for target in evidence.targets:
        same = (target.workload, target.recipe) == (own.workload, own.recipe)
        if same and target.verdict in (Verdict.FAIL, Verdict.ERROR):
            raise KpiError(
                f"{kpi} is proven, but {target.id}, about the same recipe, is {target.verdict}: {why(target)}",
                "what ships must keep all that is asked of it",
            )


def _check_attempts(kpi: str, evidence: Evidence, file: Path) -> None:
    """KpiError where a merge of this evidence would not be green for the attempts before it."""
    for target in evidence.targets:
        if target.kpi == kpi and (problem := of_one_attempt(str(file), target, evidence)):
            raise KpiError(
                problem, f"{kpi} is not released: judge it again with another artifact, or merge all attempts"
            )


def _held_against(
    kpi: str, evidence: Evidence, against: Collection[str] | None, before: Move | None, place: ReleasePlace
) -> bool:
    """Whether the KPI was held against what is released; KpiError where that was something else than is now."""
    if before is None and against is None:
        return False  # a place of its own, for all that is known
    asked = [target for target in evidence.targets if target.kpi == kpi]
    named = [one for target in asked for one in target.released.items()]
    held = {digest for recipe, digest in named if against is None or recipe in against}
    # Evidence of an earlier version does not say it.
    held |= {"" for target in asked if target.versus in (against or ()) and target.versus not in target.released}
    if held - {before.digest if before else ""}:
        was = " and ".join(digest[:12] or "none, or one that the evidence does not name" for digest in sorted(held))
        raise KpiError(
            f"{kpi} was held against another release ({was}) than {place} points to now: "
            f"{before.told() if before else 'nothing'}",
            "run it again, against that",
        )
    return before is not None and bool(held)


def _check_alike(kpi: str, evidence: Evidence, shipped: Unpacked, place: ReleasePlace) -> None:
    """KpiError where a place points to a package of another workload or task."""
    own = evidence.by_kpi[kpi].workload
    task = next((line.task for line in evidence.workloads if line.name == own), "")
    for what, theirs, ours in (("workload", shipped.workload, own), ("task", shipped.task, task)):
        if theirs != ours:
            raise KpiError(
                f'{place} points to a package of the {what} "{theirs}", {kpi} is of "{ours}"',
                "name another place with --to",
            )


def _fetched(place: ReleasePlace, move: Move) -> Unpacked:
    """What a package says, fetched as a user of the pointer would; KpiError where it is not whole there."""
    with tempfile.TemporaryDirectory(prefix="kpi-release-") as scratch:
        out = Path(scratch) / "unpacked"
        out.mkdir()
        return release_place(place.fixed(move), place.root).unpacked(move.digest, Path(scratch), out)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
