"""A stopped run goes on where it stopped, and takes over nothing that is not this run's own."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from harness.core.json_lines import line, read_lines
from harness.measure.journal import FILES, Event, Journal, Journaled, raw, read_journals
from harness.measure.records import Measurement, ProcessRecord, Proof
from harness.measure.resume import restore, stopped_runs
from harness.tasks.language.scenarios.answer import PART, answers_so_far
from tests.support.project import Project

NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)
ALIKE = {"machine": "m", "boot": "b"}
RECORD = ProcessRecord("", 1.0, 0.1, 0.01, 1, 2, Proof("onnxruntime", "1", "CPU", "f32"), samples_s=(0.001, 0.002))


MEASURED = Measurement("subject", "w/r", "a", 1, "onnxruntime", "cpu", "single-stream", conditions=ALIKE)


def stopped_run(folder: Path, name: str = "subject", minutes: float = 5, outputs: str = "", **change: Any) -> Path:
    """A run's folder with one measurement of two processes."""
    started = (NOW - timedelta(minutes=minutes)).isoformat(timespec="milliseconds")
    records = (replace(RECORD, started=started, outputs=outputs), replace(RECORD, started=started))
    made = replace(MEASURED, id=name, pairs={"other-gw1": [(0, 1)]}, processes=records)
    folder.mkdir(exist_ok=True)
    Journal(folder, name.partition("-")[2]).keep(replace(made, **change))
    return folder


def written_otherwise(folder: Path, *events: Event) -> Path:
    """The folder of a run of a version that kept other fields."""
    Journal(folder).append(*events)
    return folder


def test_what_fits_is_taken_over_whole(tmp_path: Path) -> None:
    found = restore([stopped_run(tmp_path / "run")], "subject", "", ALIKE, NOW)
    assert found is not None
    assert (found.run, len(found.records), found.records[0].samples_s) == ("run", 2, (0.001, 0.002))
    assert found.pairs == {"other": [(0, 1)]}


def test_a_worker_of_xdist_finds_its_own_then_any(tmp_path: Path) -> None:
    stopped_run(tmp_path, "subject-gw0", pairs={"zero": [(0, 0)]})
    stopped_run(tmp_path, "subject-gw1", pairs={"one": [(0, 0)]})
    for tag, pair in (("gw1", "one"), ("gw0", "zero"), ("", "zero"), ("gw7", "zero")):
        found = restore([tmp_path], "subject", tag, ALIKE, NOW)
        assert found is not None
        assert list(found.pairs) == [pair]


UNFIT: dict[str, Callable[[Path], Path]] = {
    "older than an hour": lambda folder: stopped_run(folder, minutes=61),
    "another machine": lambda folder: stopped_run(folder, conditions={**ALIKE, "machine": "n"}),
    "another boot": lambda folder: stopped_run(folder, conditions={**ALIKE, "boot": "c"}),
    "conditions unknown": lambda folder: stopped_run(folder, conditions={}),
    "another subject": lambda folder: stopped_run(folder, "another"),
    "no process yet": lambda folder: stopped_run(folder, processes=()),
    "outputs that are gone": lambda folder: stopped_run(folder, outputs="subject.npz"),
    "fields of another version": lambda folder: written_otherwise(
        stopped_run(folder), Event("process", "subject", record=raw({"speed": 1}))
    ),
    "facts of another version": lambda folder: written_otherwise(
        folder, Event("measurement", "subject", raw({"id": "subject"})), Event("process", "subject", raw({}))
    ),
}


@pytest.mark.parametrize("why", UNFIT)
def test_what_does_not_fit_is_measured_anew(why: str, tmp_path: Path) -> None:
    assert restore([UNFIT[why](tmp_path)], "subject", "", ALIKE, NOW) is None


def test_what_was_cut_off_is_measured_anew(tmp_path: Path) -> None:
    file = stopped_run(tmp_path) / "journal.jsonl"
    text = file.read_bytes()
    lines = text.splitlines(keepends=True)
    assert [json.loads(line)["event"] for line in lines] == ["measurement", "process", "process", "pair"]
    for left in (*range(0, len(text), 7), len(text) - 20):
        file.write_bytes(text[:left])
        found = restore([tmp_path], "subject", "", ALIKE, NOW)
        # A line is there, or is not, but for its end.
        whole = sum(len(b"".join(lines[:number])) <= left + 1 for number in range(1, 5))
        if whole < 2:
            assert found is None
        else:
            assert found is not None
            assert len(found.records) == min(whole, 3) - 1
            assert found.pairs == ({"other": [(0, 1)]} if whole == 4 else {})


def test_the_newest_measurement_counts(tmp_path: Path) -> None:
    older = stopped_run(tmp_path / "1", minutes=30)
    newer = stopped_run(tmp_path / "2")
    found = restore([newer, older], "subject", "", ALIKE, NOW)
    assert found is not None
    assert found.run == "2"


def test_only_runs_since_the_last_that_came_to_its_end_were_stopped(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in "abcd"]
    for folder, complete in zip(folders, (False, True, False, None), strict=True):
        folder.mkdir()
        if complete is not None:
            (folder / "evidence.json").write_text(json.dumps({"complete": complete}), encoding="utf-8")
    assert [folder.name for folder in stopped_runs(folders)] == ["d", "c"]


def part(folder: Path, text: str) -> Path:
    (folder / "outputs").mkdir()
    (folder / f"outputs/subject{PART}").write_text(text, encoding="utf-8")
    return folder / "outputs"


def test_answers_that_were_given_before_the_kill_are_not_asked_for_again(tmp_path: Path) -> None:
    head = json.dumps({"conditions": ALIKE, "started": datetime.now(UTC).isoformat()})
    folder = part(tmp_path, head + '\n{"output": "a"}\n{"output": "b"}\n{"outp')
    outputs = tmp_path / "new/subject.npz"
    assert answers_so_far([tmp_path / "none", folder], outputs, ALIKE) == [{"output": "a"}, {"output": "b"}]
    assert answers_so_far([folder], outputs, {**ALIKE, "boot": "c"}) == []
    assert answers_so_far([folder], tmp_path / "new/other.npz", ALIKE) == []


@pytest.mark.parametrize("text", ["a\u2028b", "a\x0bb\x1cc\x85d", "a\nb\r\nc", "\ud7ff\u0000"])
def test_lines_end_at_line_feeds_alone(text: str, tmp_path: Path) -> None:
    """Models of random weights say all of these."""
    file = tmp_path / "lines.jsonl"
    file.write_text(line({"output": text}) * 2 + '{"outp', encoding="utf-8")
    assert read_lines(file) == [{"output": text}] * 2


@pytest.mark.parametrize("text", ["", "[]\n", "{\n", '{"conditions": {}}\n', '{"started": "2026-01-02"}\n{}\n'])
def test_a_part_that_says_nothing_is_begun_again(text: str, tmp_path: Path) -> None:
    assert answers_so_far([part(tmp_path, text)], tmp_path / "subject.npz", ALIKE) == []


def test_answers_of_yesterday_are_asked_for_again(tmp_path: Path) -> None:
    head = json.dumps({"conditions": ALIKE, "started": (datetime.now(UTC) - timedelta(hours=2)).isoformat()})
    folder = part(tmp_path, head + '\n{"output": "a"}\n')
    assert answers_so_far([folder], tmp_path / "subject.npz", ALIKE) == []


def kept(folder: Path) -> list[Journaled]:
    """What the journals below a folder hold by now."""
    runs = {file.parent for file in folder.rglob(FILES)}
    return [one for run in runs for one in read_journals(run).measurements.values()]


@pytest.mark.suite
@pytest.mark.parametrize(
    ("number", "out"),
    [
        (signal.SIGKILL, ""),
        # The other signal, and the other folder, take the same way.
        pytest.param(signal.SIGINT, "--kpi-out=here", marks=pytest.mark.long),
        pytest.param(signal.SIGKILL, "--kpi-out=here", marks=pytest.mark.long),
        pytest.param(signal.SIGINT, "", marks=pytest.mark.long),
    ],
)
def test_a_stopped_run_goes_on(project: Project, number: int, out: str) -> None:
    project.look_as_usual()
    arguments = [out] if out else []
    folder = project.folder / "here" if out else project.folder / ".kpi/runs"

    def enough() -> bool:
        """A latency's first processes were measured, and an accuracy."""
        counts = {one.measurement.scenario: len(one.processes) for one in kept(folder)}
        return counts.get("single-stream", 0) >= 2 and counts.get("evaluate", 0) >= 1

    project.stop_when(enough, number, *arguments)
    done = project.pytest("--kpi-resume", *arguments)
    assert done.returncode == 0, done.stdout
    assert "processes taken over from" in done.stdout
    where = project.folder / "here" if out else project.folder / ".kpi/latest"
    evidence = json.loads((where / "evidence.json").read_text(encoding="utf-8"))
    assert {t["verdict"] for t in evidence["targets"]} == {"PASS"}
    latency = next(m for m in evidence["measurements"] if m["scenario"] == "single-stream")
    assert 2 <= latency["taken_over"]["processes"] <= 6
    starts = [process["started"] for process in latency["processes"]]
    assert starts == sorted(starts)
    assert len(starts) >= 6
    taken = latency["taken_over"]["processes"]
    assert starts[taken - 1] < evidence["started"]
    assert all(start > evidence["started"] for start in starts[taken:])
    # What was resumed came to its end: there is nothing left to resume.
    again = project.pytest("--kpi-resume", *arguments)
    assert again.returncode == 0
    assert "nothing was taken over" in again.stdout
    assert not list(where.glob(".stopped-*"))


@pytest.mark.suite
def test_a_changed_artifact_is_measured_anew(project: Project) -> None:
    def measured() -> bool:
        return any(one.processes for one in kept(project.folder / ".kpi/runs"))

    project.stop_when(measured, signal.SIGKILL)
    project.change('seconds = "20 ms"', 'seconds = "30 ms"')
    done = project.pytest("--kpi-resume")
    assert done.returncode == 0
    assert "nothing was taken over" in done.stdout
