"""Environments: made from a pinned file, keyed by its content, missing ones name their remedy."""

from __future__ import annotations

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
