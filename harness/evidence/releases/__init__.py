"""Places that keep releases, one kind a file: what each points to, what it pointed to before, how that is moved."""

from __future__ import annotations

from collections.abc import Mapping

from harness.core.registry import discover
from harness.evidence.releases.base import ReleasePlace


def releases() -> Mapping[str, type[ReleasePlace]]:
    """Every kind of place, by the scheme of its references."""
    return discover("releases", ReleasePlace)
