"""The example pipelines are valid, build once, and leave the last word to the merge."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.workflow import runners

ROOT = Path(__file__).resolve().parents[2]
WORKFLOW, GITLAB = ROOT / ".github/workflows/kpi.yml", ROOT / "docs/gitlab-ci.yml"
OWN = ROOT / ".github/workflows/ci.yml"
DEVICES = ["cpu", "gpu", "npu", "edge"]


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return found


def commands(job: dict[str, Any]) -> str:
    return "\n".join([*job.get("script", ()), *(step.get("run", "") for step in job.get("steps", ()))])


def check(schema: str, path: Path) -> subprocess.CompletedProcess[str]:
    """The forge's own schema, as check-jsonschema brings it along."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("schema", "path"), [("github-workflows", WORKFLOW), ("github-workflows", OWN), ("gitlab-ci", GITLAB)]
)
def test_the_forge_would_take_it(schema: str, path: Path, tmp_path: Path) -> None:
    done = check(schema, path)
    assert done.returncode == 0, done.stdout
    wrong = tmp_path / "wrong.yml"
    text = path.read_text(encoding="utf-8")
    wrong.write_text(text.replace("runs-on:", "run-on:").replace("script:", "script: 7 #"), encoding="utf-8")
    assert check(schema, wrong).returncode == 1


@pytest.mark.skipif(shutil.which("actionlint") is None, reason="actionlint is not installed")
@pytest.mark.parametrize("workflow", [WORKFLOW, OWN], ids=["example", "own"])
def test_the_workflow_has_no_mistakes(workflow: Path) -> None:
    done = subprocess.run(["actionlint", "-no-color", str(workflow)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("pipeline", [read(WORKFLOW)["jobs"], read(GITLAB)], ids=["github", "gitlab"])
def test_every_device_is_judged_and_the_merge_alone_can_turn_green(pipeline: dict[str, Any]) -> None:
    build, judge, last = (pipeline[name] for name in ("build", "judge", "kpis"))
    matrix = judge.get("strategy", judge.get("parallel"))["matrix"]
    if isinstance(matrix, dict):
        # The labels are one input, or a variable of the repository, or these; what fails can be run again.
        labels = json.dumps(DEVICES)
        assert matrix["device"] == f"${{{{ fromJSON(inputs.runners || vars.KPI_RUNNERS || '{labels}') }}}}"
        assert runners(WORKFLOW) == DEVICES
        assert judge["strategy"]["fail-fast"] is False
    else:
        assert matrix[0]["DEVICE"] == DEVICES
        assert judge["allow_failure"]
    assert "continue-on-error" not in judge
    assert "--kpi-decided" in commands(judge)
    assert "--kpi-attempt=" in commands(judge)
    assert last.get("if", last.get("when")) in ("always()", "always")
    assert "kpi merge evidence/*/evidence.json" in commands(last)
    assert "continue-on-error" not in last
    assert "allow_failure" not in last
    assert "kpi merge" not in commands(build) + commands(judge)
    assert "KPI_STORE" in read(WORKFLOW)["env"]
    assert "kpi build" in commands(build)
    assert "kpi build" not in commands(judge)
    assert last["needs"] in ("judge", [{"job": "judge", "artifacts": True}])


def test_a_job_that_gitlab_retries_is_told_which_attempt_it_is(tmp_path: Path) -> None:
    (line,) = [said for said in read(GITLAB)["judge"]["script"] if said.startswith("ATTEMPT=")]
    assert "evidence" in read(GITLAB)["judge"]["cache"]["paths"]
    for attempt in (1, 2, 3):
        command = ["bash", "-euc", f'{line}\necho "$ATTEMPT"\nmkdir -p "evidence/cpu-$ATTEMPT"']
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        assert done.stdout == f"{attempt}\n"


def test_only_what_is_named_reaches_a_shell() -> None:
    # An expression within a script is pasted into it before a shell reads it.
    for workflow in (read(WORKFLOW), read(OWN)):
        for job in workflow["jobs"].values():
            assert "${{" not in commands(job)
        assert workflow["permissions"] == {"contents": "read"}


def test_the_projects_own_workflow_runs_what_ci_runs_on_every_version_that_the_metadata_allows() -> None:
    jobs = read(OWN)["jobs"]
    assert "bash .ci/run" in commands(jobs["all"])
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    versions = [line.rpartition(":: ")[2] for line in project["classifiers"] if ":: 3." in line]
    assert jobs["quick"]["strategy"]["matrix"]["python"] == versions
    assert versions[0] == project["requires-python"].removeprefix(">=")


def test_what_ci_runs_is_what_the_readme_and_the_guide_name() -> None:
    script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    guide = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    targets = {
        name for line in (ROOT / "Makefile").read_text().splitlines() if (name := line.partition(":")[0]).strip()
    }
    for command in ("make lint", "make coverage", "make kpi"):
        assert f"\n{command}\n" in script
        assert f"`{command}`" in guide
        assert command.removeprefix("make ") in targets
