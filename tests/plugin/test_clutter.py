"""A run leaves nothing in the folder but what the documents name, and brings no pytest plugin unasked."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata

import pytest

from tests.support.project import ROOT, Project

QUIET = {"pytest", "hypothesis", "platformdirs"}
"""Their plugins print no header and make no folder where no test of theirs runs."""


def test_no_dependency_brings_a_plugin_that_shows_in_every_run() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = {re.split(r"[^A-Za-z0-9._-]", text)[0].lower() for text in project["dependencies"]}
    plugins = {point.dist.name.lower() for point in metadata.entry_points(group="pytest11") if point.dist}
    assert "numpy" in needed
    assert plugins & needed - QUIET == set()


@pytest.mark.suite
def test_a_run_leaves_its_own_folder_alone(project: Project) -> None:
    project.change('"size" = "< 20 kB"', '"size" = "< 20 kB"\n"parity.adversarial" = "<= 0"')
    before = {path.name for path in project.folder.iterdir()}
    # pytest-benchmark is an extra: where it is installed it makes a folder of its own.
    done = project.pytest("-p", "no:benchmark", "-k", "size or adversarial")
    assert done.returncode == 0, done.stdout
    assert {path.name for path in project.folder.iterdir()} - before == {".kpi"}
    assert "benchmark:" not in done.stdout
