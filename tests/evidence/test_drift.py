"""Figures that move by small steps are seen over many runs; figures that do not are left alone."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from harness.cli.main import main
from harness.evidence.history.database import History
from harness.evidence.history.drift import LEVEL, Shift, second_opinion, series_of, shifts
from harness.evidence.history.points import Point
from harness.judge.verdict import Basis, Verdict
from tests.support.made_runs import Made, evidence, keep, latencies


def point(number: int, value: float, of: Basis = Basis.PROCESSES, kpi: str = "a") -> Point:
    return Point(
        run=f"run{number:04}", started=f"2026-01-01T{number // 60:02}:{number % 60:02}", commit="c", machine="m",
        machine_name="M", complete=True, kpi=kpi, workload="w", recipe="r", device="cpu", metric="latency.p50",
        bound="< 1 s", relation="value", versus=None, value=value, low=value, high=value, unit="s", n=6, of=of,
        verdict=Verdict.PASS, reason="", artifact="a",
    )  # fmt: skip


def found(values: list[float], of: Basis = Basis.PROCESSES) -> list[Shift]:
    return shifts([point(number, value, of) for number, value in enumerate(values)])


def test_a_step_is_found_where_it_is() -> None:
    random = np.random.default_rng(1)
    values = [*(0.010 * random.lognormal(0, 0.01, 15)), *(0.0105 * random.lognormal(0, 0.01, 12))]
    (shift,) = found(values)
    assert shift.at.run == "run0015"
    assert (shift.runs_before, shift.runs_since) == (15, 12)
    assert shift.since / shift.before == pytest.approx(1.05, abs=0.01)


def test_small_steps_that_no_two_runs_show_are_found() -> None:
    # Half a percent slower each run, where a run's own noise is two percent.
    random = np.random.default_rng(2)
    values = [0.01 * 1.005**number * random.lognormal(0, 0.02) for number in range(40)]
    moved = found(values)
    assert moved
    assert all(shift.since > shift.before for shift in moved)


def test_several_steps_are_told_apart() -> None:
    random = np.random.default_rng(3)
    levels = [1.0] * 14 + [1.2] * 14 + [0.9] * 14
    moved = found([level * random.lognormal(0, 0.02) for level in levels])
    assert [shift.at.run for shift in moved] == ["run0014", "run0028"]
    assert [shift.runs_before for shift in moved] == [14, 14]


@pytest.mark.parametrize("kind", ["normal", "one in ten is slow", "two modes"])
@pytest.mark.parametrize("runs", [8, 30])
def test_runs_that_do_not_move_are_hardly_ever_said_to(kind: str, runs: int) -> None:
    random, alarms, series = np.random.default_rng(4), 0, 150
    for _ in range(series):
        values = random.lognormal(0, 0.02, runs)
        if kind == "one in ten is slow":
            values *= np.where(random.random(runs) < 0.1, 2, 1)
        if kind == "two modes":
            values *= np.where(random.random(runs) < 0.5, 1.3, 1)
        alarms += bool(found(values.tolist()))
    assert alarms <= series * LEVEL + 4 * (series * LEVEL) ** 0.5


def test_few_runs_say_nothing_and_the_same_history_says_the_same() -> None:
    assert found([1.0] * 3 + [2.0] * 4) == []
    assert found([]) == []
    assert found([1.0] * 40) == []
    values = np.random.default_rng(5).lognormal(0, 0.1, 60).tolist()
    assert found(values) == found(values)


def test_ruptures_says_where_it_would_put_as_many() -> None:
    pytest.importorskip("ruptures")
    random = np.random.default_rng(3)
    levels = [1.0] * 14 + [1.2] * 14 + [0.9] * 14
    points = [point(number, level * random.lognormal(0, 0.02)) for number, level in enumerate(levels)]
    moved = shifts(points)
    assert [one.run for one in second_opinion(points, moved)] == ["run0014", "run0028"]
    assert second_opinion(points, []) == []
    exact = [point(number, size, Basis.EXACT) for number, size in enumerate([5e6, 5e6, 4e6])]
    assert second_opinion(exact, shifts(exact)) == []


def test_figures_without_noise_move_where_they_differ() -> None:
    moved = found([5e6, 5e6, 4e6], Basis.EXACT)
    assert [(shift.at.run, shift.before, shift.since) for shift in moved] == [("run0002", 5e6, 4e6)]


def test_machines_kpis_and_comparisons_are_series_of_their_own() -> None:
    points = [point(1, 1.0), point(2, 2.0), point(1, 3.0, kpi="b"), point(3, float("nan"))]
    assert [[p.value for p in own] for own in series_of(points)] == [[1.0, 2.0], [3.0]]


def test_the_command_warns_of_what_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    history, (project, runs) = History(tmp_path / ".kpi"), (tmp_path, 12)
    for number in range(runs):
        slow = 1.0 if number < 6 else 1.3
        made = Made("a", latencies(0.001 * slow, 6, number + 1), size=5000)
        run = evidence([made], f"2026-01-{number + 1:02}T00:00:00.000+00:00")
        history.record(run, keep(project / ".kpi", run))
    monkeypatch.chdir(project)
    (project / "kpis.toml").write_text("", encoding="utf-8")
    assert main(["history", "a", "--kpis", "kpis.toml"]) == 0
    said = capsys.readouterr().out
    assert "worse since 2026-01-07" in said
    assert main(["history", "--drift", "--kpis", "kpis.toml"]) == 0
    drift = capsys.readouterr().out
    assert "a  latency.p50" in drift
    assert "6 runs before, 6 since" in drift
    if find_spec("ruptures"):
        assert "ruptures puts it there too" in " ".join(drift.split())
    assert main(["history", "a", "--json", "--metric", "latency.p50", "--kpis", "kpis.toml"]) == 0
    levels = [one["level"] for one in json.loads(capsys.readouterr().out)]
    assert len(set(levels[:6])) == len(set(levels[6:])) == 1
    assert levels[-1] / levels[0] == pytest.approx(1.3, rel=0.05)
