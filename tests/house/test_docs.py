"""The reference names everything that can be written."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from harness.build.passes import passes
from harness.judge.metrics import metrics
from harness.measure.runtimes import runtimes
from harness.measure.scenarios import scenarios
from harness.spec.schema import KpiTable, MachineTable, MeasureTable, RecipeTable, WorkloadTable

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = (ROOT / "docs/kpis.md").read_text(encoding="utf-8")


def test_every_name_is_documented() -> None:
    names = {*metrics(), *passes(), *runtimes(), *scenarios()}
    assert not {name for name in names if f"`{name}`" not in REFERENCE}


def test_every_option_is_documented() -> None:
    classes = [*passes().values(), *runtimes().values(), *scenarios().values()]
    options = {field.name for cls in classes for field in dataclasses.fields(cls.Options)}
    assert not {name for name in options if f"`{name}`" not in REFERENCE}


@pytest.mark.parametrize("table", [MachineTable, WorkloadTable, RecipeTable, KpiTable, MeasureTable])
def test_every_key_is_documented(table: type[MachineTable]) -> None:
    missing = {key for key in table.model_fields if f"`{key}" not in REFERENCE}
    assert missing <= {"recipe", "published"}


def test_every_link_leads_somewhere() -> None:
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "fixtures").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} points to {target}"


def test_the_guides_example_of_a_metric_is_the_real_one() -> None:
    guide = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert (ROOT / "harness/judge/metrics/load_time.py").read_text(encoding="utf-8") in guide
