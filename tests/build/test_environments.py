"""Environments: made from a pinned file, keyed by its content, missing ones name their remedy."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from harness.build.environments import Environments
from harness.build.store import Store
from harness.core.errors import KpiError, Unavailable
from harness.core.processes import call_worker


@pytest.fixture
def environments(tmp_path: Path) -> Environments:
    (tmp_path / "environments").mkdir()
    (tmp_path / "environments/tiny.txt").write_text("six==1.17.0\npsutil==7.2.2\nfilelock==4.2.11\n", encoding="utf-8")
    (tmp_path / "environments/broken.txt").write_text("no-such-distribution-anywhere==0.0.1\n", encoding="utf-8")
    return Environments(Store(tmp_path / "store"), tmp_path)


def test_a_missing_environment_names_the_one_command(environments: Environments) -> None:
    with pytest.raises(Unavailable, match="not installed") as caught:
        environments.interpreter("tiny")
    assert caught.value.remedy == "kpi env create tiny"


def test_an_unknown_environment_names_the_nearest(environments: Environments) -> None:
    with pytest.raises(KpiError, match='did you mean "tiny"'):
        environments.path("tini")


def test_what_ships_is_known(environments: Environments) -> None:
    assert {"onnxruntime-openvino", "tiny"} <= set(environments.names())


@pytest.mark.suite
def test_a_worker_runs_there_and_sees_only_the_harness(environments: Environments, tmp_path: Path) -> None:
    environments.create("tiny", lambda _: None)
    interpreter = environments.interpreter("tiny")
    assert interpreter.version("six") == "1.17.0"
    assert interpreter.version("onnxruntime") is None
    assert environments.create("tiny", lambda _: None) == environments.path("tiny")
    # The worker starts there and says what it lacks: the packages of the main environment don't shine through.
    with pytest.raises(KpiError, match="No module named 'numpy'"):
        call_worker(
            "harness.measure.worker",
            {
                "runtime": "onnxruntime",
                "runtime_options": {},
                "scenario": "single-stream",
                "scenario_options": {},
                "cores": None,
                "numa_node": None,
                "meeting": None,
            },
            log=tmp_path / "log",
            timeout=60,
            python=interpreter.python,
            environment=interpreter.environment,
        )


def test_another_content_is_another_environment(environments: Environments, tmp_path: Path) -> None:
    before = environments.path("tiny")
    (tmp_path / "environments/tiny.txt").write_text("six==1.16.0\n", encoding="utf-8")
    assert environments.path("tiny") != before


@pytest.mark.suite
def test_a_failed_installation_leaves_nothing_and_says_why(environments: Environments) -> None:
    with pytest.raises(KpiError, match=r"broken.*could not be installed"):
        environments.create("broken", lambda _: None)
    assert not environments.exists("broken")
    assert not environments.path("broken").exists()


def program(folder: Path, minor: int, line: str) -> None:
    file = folder / f"python3.{minor}"
    file.write_text(f"#!/bin/sh\n{line}\n", encoding="utf-8")
    file.chmod(0o755)


@pytest.mark.skipif(sys.platform == "win32", reason="programs are scripts of a shell")
def test_a_later_python_is_looked_for_on_the_path(
    environments: Environments, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = sys.version_info.minor + 1
    folder = tmp_path / "programs"
    folder.mkdir()
    text = f"# python >= 3.{later}\n"
    file = environments.root / "environments" / "later.txt"
    file.write_text(text, encoding="utf-8")
    monkeypatch.setenv("PATH", str(folder))
    with pytest.raises(Unavailable, match=rf'"later" needs Python 3\.{later} or later, this one is 3\.') as caught:
        environments.create("later", lambda _: None)
    assert "python3.N" in caught.value.remedy
    assert not environments.exists("later")
    # Names of version managers that lead to nothing are passed over.
    program(folder, later, "exit 127")
    program(folder, later + 1, f'exec {sys.executable} "$@"')
    file.write_text(f"{text}# again\n", encoding="utf-8")
    made = environments.create("later", lambda _: None)
    assert environments.exists("later")
    assert (made / "bin" / "python").exists()
