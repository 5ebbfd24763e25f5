"""A table of ``kpis.toml`` as pydantic sees it, and what a name is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, PrivateAttr, StringConstraints

from harness.spec.messages import pattern

# A name may be in any language; control characters would break a terminal, a file or a JUnit report.
PLAIN = pattern(r"^[^\x00-\x1f\x7f]+$", "text without control characters")
Name = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=PLAIN)]


class Table(BaseModel):
    """A TOML table that refuses keys it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    stand_ins: ClassVar[dict[str, Any]] = {}
    """What takes the place of a key that must be there and is wrong or missing."""
    _wrong: frozenset[str] = PrivateAttr(default=frozenset())

    def mark_wrong(self, keys: Iterable[str]) -> None:
        """Remembers keys whose mistakes were told."""
        self._wrong = frozenset(keys)

    def wrong(self, key: str) -> bool:
        """Whether a mistake of this key was told: its value then says nothing."""
        return key in self._wrong
