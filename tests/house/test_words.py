"""Plain English: words that have to be guessed, and old names of the design, are not used."""

from __future__ import annotations

import io
import re
import tokenize
from pathlib import Path

import pytest

from tests.support.project import ROOT, SHIPPED

WORDS = re.compile(
    r"\b(anew|whoever|nobody|stands|beside)\b|\b(?!there\b)\w+[\"'`)}]* is no (?!longer|more|less|such|better)",
    re.IGNORECASE,
)
NAMES = {
    "Promise": "Bound",
    "Judgement": "Decision",
    "Finding": "Measured",
    "Campaign": "MeasurementRunner",
    "Meeting": "FileBarrier",
    "TakenOver": "Resumed",
    "Smaller": "StudentNetwork",
    "Underivable": "NotReproducible",
    "Fixture": "Workload",
}
"""What was called so, and what it is called now."""
CODE = sorted((ROOT / "harness").rglob("*.py"))
TEXTS = [
    *CODE,
    *sorted((ROOT / "kpi_tests").rglob("*.py")),
    *sorted((ROOT / "examples").rglob("*.py")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *(ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md")),
    *SHIPPED,
]


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", TEXTS, ids=name)
def test_words_that_have_to_be_guessed_are_not_used(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [f"{n}: {line.strip()}" for n, line in enumerate(lines, 1) if WORDS.search(line)] == []


@pytest.mark.parametrize("path", CODE, ids=name)
def test_old_names_are_gone(path: Path) -> None:
    tokens = tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline)
    assert [f"{t.start[0]}: {t.string}, now {NAMES[t.string]}" for t in tokens if t.string in NAMES] == []
