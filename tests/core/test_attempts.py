"""Attempts at a target: counted by the history, told, sharing their error where asked for, never picked from."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest

from harness.core.attempts import COUNTED, SPENT, Attempts, attempt_note, confidence_of
from harness.core.statistics import plan_looks
from tests.support.edited_evidence import forge
from tests.support.project import FEW_LOOKS, Project

NEVER = '"latency.p50" = ["< 1 us", "< 1 min"]'


def test_errors_of_all_attempts_sum_to_what_is_promised() -> None:
    spent = [1 - confidence_of(attempt, 0.97, SPENT) for attempt in range(1, 5000)]
    assert spent == sorted(spent, reverse=True)
    assert 0.0299 < sum(spent) < 0.03
    assert {confidence_of(attempt, 0.97, COUNTED) for attempt in range(1, 9)} == {0.97}


def test_the_first_attempt_takes_nine_processes_where_error_is_shared() -> None:
    looks = plan_looks((6, 9, 12, 16, 20, 26, 32, 40), confidence_of(1, 0.97, SPENT))
    assert [look.against for look in looks][:2] == [-1, 0]


def test_the_history_and_what_somebody_says_are_both_believed() -> None:
    key = ("machine", "kpi", "latency.p50", "< 1 ms", "digest")
    assert Attempts().attempt(key) == 1
    known = {key: {"PASS": 1, "FAIL": 1}}
    assert Attempts(known).attempt(key) == 3
    assert Attempts(known).earlier(key) == {"PASS": 1, "FAIL": 1}
    assert Attempts(known, said=4).attempt(key) == 5
    assert Attempts(known).attempt((*key[:4], "another")) == 1
    assert Attempts(known).attempt(("another", *key[1:])) == 1
    # What a machine was told of itself is not added: the larger counts.
    assert Attempts(known).attempt(key, {"FAIL": 3}) == 4
    assert Attempts(known).earlier(key, {"FAIL": 3}) == {"FAIL": 3}
    assert Attempts(known).earlier(key, {"FAIL": 1}) == known[key]
    again = Attempts(known, said=1)
    assert Attempts.from_json(json.loads(json.dumps(again.to_json()))) == again


def test_later_attempts_are_told() -> None:
    assert not list(attempt_note(1, COUNTED))
    assert "attempt 3 with the same artifact" in next(attempt_note(3, COUNTED))
    assert "surer than the ones before" in next(attempt_note(3, SPENT))


def answers(project: Project) -> dict[str, dict[str, object]]:
    every = [t for t in project.evidence()["targets"] if t["metric"] == "latency.p50"]
    found = {t["bound"]: t for t in every if t["verdict"] != "OFF_TARGET"}
    assert found
    return found


@pytest.mark.suite
def test_runs_are_counted_and_each_attempt_must_be_surer(project: Project) -> None:
    project.change(FEW_LOOKS, 'looks = [6, 9, 12]\nconfidence = "90 %"\nattempts = "spent"\n')
    project.change('"latency.p50" = "< 50 ms"', NEVER)
    for attempt in (1, 2):
        project.pytest("-k", "p50")
        for target in answers(project).values():
            assert target["attempt"] == attempt
            assert target["earlier"] == ({target["verdict"]: 1} if attempt > 1 else {})
            assert target["confidence"] == pytest.approx(1 - 0.1 * 6 / (math.pi * attempt) ** 2)
    assert "attempt 2 with the same artifact" in json.dumps(answers(project))
    project.pytest("-k", "p50", "--kpi-attempt=7")
    assert {target["attempt"] for target in answers(project).values()} == {7}
    checked = project.cli("explain", "stripes-int8")
    assert re.search(r"note +attempt 7 with the same artifact", checked.stdout)


@pytest.mark.suite
@pytest.mark.parametrize("said", ["0", "x", "-1", "1.5"])
def test_an_attempt_is_a_number_from_one(project: Project, said: str) -> None:
    done = project.pytest(f"--kpi-attempt={said}")
    assert done.returncode == 4
    assert "is not the number of an attempt, such as 2" in done.stdout + done.stderr


@pytest.mark.suite
def test_two_attempts_that_differ_are_not_merged_into_green(project: Project, tmp_path: Path) -> None:
    project.pytest("-k", "p50", f"--kpi-out={tmp_path / 'a'}")
    file = tmp_path / "b.json"

    def undecided(data: dict[str, Any]) -> None:
        target = next(t for t in data["targets"] if t["metric"] == "latency.p50" and t["verdict"] == "PASS")
        target["verdict"] = "INCONCLUSIVE"

    forge(tmp_path / "a/evidence.json", file, undecided)
    done = project.cli("merge", str(tmp_path / "a/evidence.json"), str(file))
    assert done.returncode == 1
    assert "several attempts on one machine: " in done.stdout + done.stderr
