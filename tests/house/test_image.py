"""The image: what its recipe names is here, and suffices."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import yaml

from tests.support.project import ROOT

FILE = ROOT / "deploy/Dockerfile"
TEXT = FILE.read_text(encoding="utf-8")
LINES = re.sub(r"^#.*\n", "", TEXT, flags=re.MULTILINE).replace("\\\n", " ").splitlines()
COPIES = [line.split()[1:] for line in LINES if line.startswith("COPY ")]
POD = next(m for m in yaml.safe_load_all((ROOT / "deploy/job.yaml").read_text()) if m["kind"] == "Job")
WAIT = str(ROOT / "deploy/wait.py")


def instruction(name: str) -> str:
    (found,) = [line.partition(" ")[2] for line in LINES if line.startswith(f"{name} ")]
    return found


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the image would hold: what is copied, and nothing else."""
    app = tmp_path_factory.mktemp("image") / "app"
    app.mkdir()
    for *sources, target in COPIES:
        for source in sources:
            place = app / (Path(source).name if target == "./" else target)
            place.parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, place, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / source, place)
    return app


def test_what_is_copied_is_here_and_not_ignored() -> None:
    wanted = {source for *sources, _ in COPIES for source in sources}
    assert {source for source in wanted if not (ROOT / source).exists()} == set()
    rules = (ROOT / "deploy/Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    assert {rule[1:] for rule in rules if rule.startswith("!")} == wanted
    assert "*" in rules


def test_its_files_suffice(image: Path) -> None:
    entry = json.loads(instruction("ENTRYPOINT"))
    assert entry[0] == "python"
    variables = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "KPI_", "PYTHONPATH"))}
    done = subprocess.run(
        [sys.executable, *entry[1:], "-m", "cpu", "--kpi-release", "--collect-only", "--quiet"],
        cwd=image,
        env={**variables, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "test_size[food11-int8:size]" in done.stdout


def test_torch_is_pinned_and_stands_first() -> None:
    (step,) = [line for line in LINES if line.startswith("RUN") and "-r requirements.txt" in line]
    assert step.index("TORCH_INDEX") < step.index("-r requirements.txt")
    pins = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    assert re.findall(r"^(torch|torchvision)==[\d.]+$", pins, re.MULTILINE) == ["torch", "torchvision"]
    assert re.search(r"^ARG PYTHON=3\.\d+\.\d+$", TEXT, re.MULTILINE)


def test_it_fits_the_cluster() -> None:
    context = POD["spec"]["template"]["spec"]["securityContext"]
    assert instruction("USER") == f"{context['runAsUser']}:{context['runAsGroup']}"
    container = POD["spec"]["template"]["spec"]["containers"][0]
    mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert {*json.loads(instruction("VOLUME")), "/tmp"} == mounts  # noqa: S108 - a place in the image
    variables = dict(re.findall(r"(\w+)=(\S+)", instruction("ENV")))
    written = [variables[name] for name in ("KPI_STORE", "HF_HOME", "HOME", "HYPOTHESIS_STORAGE_DIRECTORY")]
    assert all("/" + path.split("/")[1] in mounts for path in written)
    assert instruction("WORKDIR") == "/app"
    assert ["deploy/wait.py", "deploy/wait.py"] in COPIES


def test_a_linter_finds_nothing() -> None:
    linter = shutil.which("hadolint") or shutil.which("hadolint", path=str(Path(sys.executable).parent))
    if linter is None:
        pytest.skip("hadolint is missing: pip install -r deploy/requirements.txt")

    def lint(text: str) -> list[str]:
        done = subprocess.run([linter, "-f", "json", "-"], input=text, capture_output=True, text=True, check=False)
        return [finding["code"] for finding in json.loads(done.stdout)]

    assert lint(TEXT) == []
    assert lint(TEXT.replace("FROM python:${PYTHON}-slim-bookworm", "FROM python")) == ["DL3006"]
    assert "DL1000" in lint(TEXT.replace("WORKDIR", "WORKDRI"))


def test_the_commit_of_an_image_stands_in_the_evidence(tmp_path: Path) -> None:
    def commit(folder: Path, **variables: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", f"from harness.evidence.writer import *; print(commit(Path({str(folder)!r})))"],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "GIT_CEILING_DIRECTORIES": "/", **variables},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    assert commit(tmp_path) == ""
    assert commit(tmp_path, KPI_COMMIT="0123abc") == "0123abc"
    assert commit(tmp_path, KPI_COMMIT="0123abc", PATH="/nowhere") == "0123abc"
    # A repository knows better than a variable that was left behind.
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", "-C", str(tmp_path), *identity, "commit", "-q", "--allow-empty", "-m", "a"], check=True)
    assert re.fullmatch(r"[0-9a-f]{40}", commit(tmp_path, KPI_COMMIT="0123abc"))


def wait(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, WAIT, "--every=0.1", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("content", [None, "", "{", "[]", "{}", '{"complete": false}', '{"complete": "true"}'])
def test_waiting_ends_with_a_failure(tmp_path: Path, content: str | None) -> None:
    whole, other = tmp_path / "whole.json", tmp_path / "other.json"
    whole.write_text('{"complete": true}', encoding="utf-8")
    if content is not None:
        other.write_text(content, encoding="utf-8")
    done = wait("--seconds=0.3", whole, other)
    assert done.returncode == 1
    assert f"complete: {whole}" in done.stdout
    assert done.stderr.strip().endswith(str(other))


def test_waiting_ends_when_the_last_is_complete(tmp_path: Path) -> None:
    late = tmp_path / "late.json"
    timer = threading.Timer(1, late.write_text, ['{"complete": true}'])
    timer.start()
    done = wait("--seconds=30", late)
    timer.join()
    assert (done.returncode, done.stderr) == (0, "")
    assert wait("--seconds=1").returncode == 2
