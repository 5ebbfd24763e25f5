"""What a place of releases is: a pointer to a package, with its history."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from harness.core.errors import Cause, KpiError, Unavailable, reason
from harness.evidence.package.contents import Contents
from harness.evidence.releases.moves import Move
from harness.evidence.releases.unpacking import Unpacked, unpack


class NoRelease(Unavailable):
    """Nothing was released yet at a place."""

    def __init__(self, message: str) -> None:
        remedy = "`kpi release KPI` makes the first; first_release = true in the KPI says that there is none yet"
        super().__init__(message, remedy, cause=Cause.NO_RELEASE)


class ReleasePlace(ABC):
    """One kind of place; ``name`` is the scheme of its references.

    ``own`` says that it lies among the project's files, which are trusted as the promises are; of any other place a
    package must be sealed with the key, where there is one. ``service`` is who answers for a place that is elsewhere,
    ``check`` what a person should look at where it refuses. Making it raises KpiError where the reference can't be one,
    or Unavailable where its client is not installed.
    """

    name: ClassVar[str]
    own: ClassVar[bool] = False
    service: ClassVar[str] = "the service"
    check: ClassVar[str] = ""

    def __init__(self, reference: str, root: Path) -> None:
        """``reference`` is what follows the scheme; a path is from ``root`` on."""
        self.reference = reference
        self.root = root

    def __str__(self) -> str:
        return f"{self.name}:{self.reference}"

    @abstractmethod
    def current(self) -> Move:
        """What it points to. Raises NoRelease where that is nothing, KpiError where it can't be read."""

    @abstractmethod
    def fixed(self, move: Move) -> str:
        """A reference that names the package of a move, wherever the pointer goes."""

    def is_there(self, move: Move) -> bool:
        """Whether the package of a move is there still, without fetching it; True where that can't be told."""
        del move
        return True

    @abstractmethod
    def package(self, digest: str, scratch: Path) -> Path:
        """The folder or archive of what it points to; ``scratch`` is for what is downloaded."""

    @abstractmethod
    def moves(self) -> Sequence[Move]:
        """Its history, the oldest move first."""

    @abstractmethod
    def put(self, contents: Contents, move: Move, scratch: Path) -> Move:
        """Brings a package there, whole and verified, and moves nothing; returns the move with its place."""

    @abstractmethod
    def move(self, before: Move | None, after: Move) -> None:
        """Points to ``after``, in one step.

        Raises KpiError where it does not point to ``before`` any more, or can only be read.
        """

    def forget(self, move: Move) -> None:  # noqa: B027 - most keep it, unused
        """Removes what :meth:`put` brought, since it was not released."""

    def not_moved(self) -> KpiError:
        """What is said where it can be read only."""
        return KpiError(f"{self} is a package, not a pointer that can be moved", "name a pointer: releases/NAME.json")

    def check_still(self, expected: Move | None) -> None:
        """Raises KpiError where it does not point to ``expected`` any more."""
        now = self.now()
        if (now and now.digest) != (expected and expected.digest):
            raise self.moved_meanwhile(expected, now)

    @contextmanager
    def asked(self) -> Iterator[None]:
        """Whatever the service, or the way to it, raises becomes one line."""
        try:
            yield
        except KpiError:
            raise
        except Exception as error:
            raise KpiError(f"{self}: {self.service} refused: {reason(error, 200)}", self.check) from error

    def moved_meanwhile(self, before: Move | None, now: Move | None) -> KpiError:
        """What is said where somebody else moved the pointer."""
        was, found = (move.digest[:12] if move else "nothing" for move in (before, now))
        return KpiError(
            f"{self} was moved meanwhile: it pointed to {was}, now to {found}", "run the KPI again, against that"
        )

    def is_same(self, other: ReleasePlace) -> bool:
        """Whether two references name one place."""
        return str(self) == str(other)

    def now(self) -> Move | None:
        """What it points to, None where that is nothing."""
        try:
            return self.current()
        except NoRelease:
            return None

    def unpacked(self, digest: str, scratch: Path, out: Path) -> Unpacked:
        """Verifies the package of a root digest and unpacks its artifact into ``out``, an empty folder."""
        return unpack(self.package(digest, scratch), digest, out, told=str(self), own=self.own)
