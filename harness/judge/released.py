"""What is said of a target that is held against what was released."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import zip_longest

from harness.build.artifact import Artifact
from harness.judge.verdict import Basis, Decision, Verdict
from harness.spec.model import Kpi, Recipe

NOTHING = Decision(Verdict.PASS, math.nan, math.nan, math.nan, 0, Basis.EXACT)
"""The decision where a KPI declares that there may be nothing yet to hold it against, and there is nothing."""


def first_note(missing: str) -> str:
    """What the ledger then says; ``missing`` is what there is not."""
    return f"first release: {missing}, so that nothing was compared"


def releases(recipes: Sequence[Recipe], artifacts: Sequence[Artifact]) -> dict[str, str]:
    """The recipes that are what was released, with the root digest of the package; empty where there is none yet."""
    pairs = zip_longest(recipes, artifacts)
    return {recipe.name: artifact.release if artifact else "" for recipe, artifact in pairs if recipe.released}


def release_notes(others: Sequence[Artifact], kpi: Kpi) -> Iterator[str]:
    """Which release a target was held against, among the artifacts that it was held against."""
    for artifact in others:
        if artifact.released:
            yield f"held against release {artifact.released}"
            if kpi.first_release:
                yield "first_release = true is out of date: there is a release; remove it"
