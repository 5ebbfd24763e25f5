"""Several runs on one machine at once: each artifact is built once, no two measurements overlap on a device."""

from __future__ import annotations

import itertools
import subprocess
from datetime import datetime
from pathlib import Path

import pytest

from tests.support.project import make_project

pytestmark = pytest.mark.suite

pytestmark = pytest.mark.suite

COUNTED = """    def model(self):
        import os

        with open(os.environ["BUILDS"], "a", encoding="utf-8") as file:
            file.write("built\\n")
"""


@pytest.mark.parametrize("count", [2, pytest.param(4, marks=pytest.mark.long)])
def test_runs_at_the_same_time(tmp_path: Path, count: int) -> None:
    projects = [make_project(tmp_path / str(number), tmp_path / "store") for number in range(count)]
    builds = tmp_path / "builds"
    for project in projects:
        fixture = project.folder / "fixtures/stripes/__init__.py"
        text = fixture.read_text(encoding="utf-8")
        assert "    def model(self):\n" in text
        fixture.write_text(text.replace("    def model(self):\n", COUNTED), encoding="utf-8")
        project.environment["BUILDS"] = str(builds)
    running = [
        subprocess.Popen(
            project.command("-q"), cwd=project.folder, env=project.variables, stdout=subprocess.PIPE, text=True
        )
        for project in projects
    ]
    for process in running:
        said, _ = process.communicate(timeout=300)
        assert process.returncode == 0, said
    # The export reads the model, then the comparison with what was exported.
    assert builds.read_text(encoding="utf-8") == "built\n" * 2
    spans = []
    for project in projects:
        assert set(project.verdicts().values()) == {"PASS"}
        for measurement in project.evidence()["measurements"]:
            for record in measurement["processes"]:
                start = datetime.fromisoformat(record["started"]).timestamp()
                spans.append((start, start + record["wall_s"]))
    assert len(spans) >= count * 4
    # The start is kept to the millisecond.
    assert all(end <= start + 0.002 for (_, end), (start, _) in itertools.pairwise(sorted(spans)))
