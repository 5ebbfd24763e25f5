"""A workload made from nothing but the guide's folder and tables is judged without touching the harness."""

from __future__ import annotations

import pytest

from tests.support.project import Project

pytestmark = pytest.mark.suite

pytestmark = pytest.mark.suite


def test_readme_workload_is_judged(project: Project) -> None:
    project.look_as_usual()
    done = project.pytest()
    assert done.returncode == 0, done.stdout + done.stderr
    assert project.verdicts() == {
        "stripes-int8:size": "PASS",
        "stripes-int8:p50": "PASS",
        "stripes-int8:top1": "PASS",
        "stripes-int8:top1-drop-fp32": "PASS",
        "stripes-int8:agreement": "PASS",
    }
    by_id = {target["id"]: target for target in project.evidence()["targets"]}
    # Good, but not perfect: a perfect score would hide what quantization costs.
    assert 0.8 < by_id["stripes-int8:top1"]["value"] < 0.99
