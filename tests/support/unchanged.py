"""A conversion that loses nothing, held against what ``kpi init`` proposed of an optimized recipe."""

from __future__ import annotations

from typing import Any

from harness.spec.reader import read_spec
from tests.support.project import Project

TABLES = """
[workload.{workload}.recipe.unchanged] # another runtime, in floating point
runtime = {{ name = "openvino", precision = "f32" }}
passes = ["openvino"]

[[kpi]]
name = "unchanged"
workload = "{workload}"
recipe = "unchanged"
machine = "any-cpu"
targets = {{ "{metric}" = "{bound}" }}
"""


def judged_unchanged(project: Project, workload: str, metric: str) -> dict[str, Any]:
    """The target with its answer, judged with what a file says that says nothing of confidence and looks."""
    optimized = [target for target in read_spec(project.toml).targets if target.recipe != "as-delivered"]
    bound = next(target.bound.text for target in optimized if target.metric_name == metric)
    tables = TABLES.format(workload=workload, metric=metric, bound=bound)
    project.toml.write_text(project.toml.read_text(encoding="utf-8") + tables, encoding="utf-8")
    done = project.pytest("-k", "unchanged")
    assert done.returncode == 0, done.stdout + done.stderr
    (judged,) = (target for target in project.evidence()["targets"] if target["kpi"] == "unchanged")
    assert project.recomputed().returncode == 0, project.recomputed().stdout
    found: dict[str, Any] = judged
    return found
