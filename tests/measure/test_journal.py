"""What a run finds is appended, once; a kill or a full disk costs what was being written and nothing else."""

from __future__ import annotations

import itertools
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.core.codec import encode
from harness.measure.journal import Event, Journal, Journaled, measured, raw, read_journals
from harness.measure.records import Measurement, ProcessRecord, Proof
from tests.support.project import ROOT


def process(number: int) -> ProcessRecord:
    proof = Proof("openvino", "1", "CPU", "f32", layers=(("a", "Conv", 0.1),))
    times = (0.001 * number, 1 / 3, 1e-9)
    return ProcessRecord(f"start {number}", 1.0, 0.1, 0.01, 1, 2, proof, times, 3, 0.5, series={"tokens": (1.0, 2.0)})


def measurement(processes: int, **more: Any) -> Measurement:
    facts: dict[str, Any] = {
        "id": "m1", "recipe": "w/r", "artifact": "a" * 64, "artifact_bytes": 5, "runtime": "openvino", "device": "cpu",
        "scenario": "single-stream", "runtime_options": {"threads": 2}, "conditions": {"harness": "1"},
    }  # fmt: skip
    return Measurement(**facts, processes=[process(number) for number in range(processes)], **more)


def test_what_was_kept_is_found_again(tmp_path: Path) -> None:
    whole = measurement(
        3,
        pairs={"m2": [(0, 0), (1, 2)]},
        scores={"accuracy.top1": [0.0, 1.0, 1 / 3]},
        weights={"accuracy.top1": [1.0, 1.0, 1.0]},
        scored_with={"accuracy.top1": {"numpy": "2"}},
    )
    Journal(tmp_path).keep(whole)
    found = read_journals(tmp_path).measurements["m1"].measurement
    # Numbers to the last bit.
    assert found == replace(whole, scores={"accuracy.top1": found.scores["accuracy.top1"]}, weights=found.weights)
    assert list(found.scores["accuracy.top1"]) == [0.0, 1.0, 1 / 3]
    assert Journaled.of(whole).measurement == found


def test_only_what_is_new_is_written(tmp_path: Path) -> None:
    journal, sizes = Journal(tmp_path), []
    for count in range(1, 6):
        journal.keep(measurement(count, pairs={"m2": [(n, n) for n in range(count)]}))
        sizes.append(journal.path.stat().st_size)
    steps = [later - earlier for earlier, later in itertools.pairwise(sizes)]
    assert max(steps) - min(steps) < 20
    journal.keep(measurement(5, pairs={"m2": [(n, n) for n in range(5)]}))
    assert journal.path.stat().st_size == sizes[-1]
    found = read_journals(tmp_path).measurements["m1"].measurement
    assert [one.started for one in found.processes] == [f"start {n}" for n in range(5)]
    assert found.pairs == {"m2": [(n, n) for n in range(5)]}


def test_scores_that_come_later_are_kept_beside_the_first(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.keep(measurement(1, scores={"a": [1.0]}))
    journal.keep(measurement(1, scores={"a": [1.0], "b": [2.0]}, weights={"b": [1.0]}))
    found = read_journals(tmp_path).measurements["m1"].measurement
    assert {name: list(scores) for name, scores in found.scores.items()} == {"a": [1.0], "b": [2.0]}
    assert list(found.weights) == ["b"]


def test_each_worker_has_a_file_and_all_are_read(tmp_path: Path) -> None:
    for tag in ("gw0", "gw1"):
        Journal(tmp_path, tag).keep(replace(measurement(2), id=f"m1-{tag}"))
    Journal(tmp_path).append(Event("verdict", key=("k", "m", "b"), answer=raw({"verdict": "PASS"})))
    found = read_journals(tmp_path)
    assert sorted(found.measurements) == ["m1-gw0", "m1-gw1"]
    assert found.answers == {("k", "m", "b"): b'{"verdict":"PASS"}'}
    assert sorted(one.id for one in measured(tmp_path, "m1")) == ["m1-gw0", "m1-gw1"]
    assert measured(tmp_path, "m") == []


@pytest.mark.parametrize("cut", [2, 40, 200])
def test_a_line_that_was_cut_off_costs_that_process_alone(tmp_path: Path, cut: int) -> None:
    Journal(tmp_path).keep(measurement(3))
    path = tmp_path / "journal.jsonl"
    path.write_bytes(path.read_bytes()[:-cut])
    found = read_journals(tmp_path).measurements["m1"].measurement
    assert [one.started for one in found.processes] == ["start 0", "start 1"]


_FULL = """
import resource, sys
from pathlib import Path
from harness.measure.journal import Journal
from tests.measure.test_journal import measurement
folder, room = Path(sys.argv[1]), int(sys.argv[2])
journal = Journal(folder)
journal.keep(measurement(1, pairs={"m2": [(0, 0)]}))
unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (journal.path.stat().st_size + room, unlimited[1]))
try:
    journal.keep(measurement(2, pairs={"m2": [(0, 0), (1, 1)]}))
    sys.exit("there was room")
except OSError:
    resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
Journal(folder).keep(__import__("dataclasses").replace(measurement(1), id="m3"))
journal.keep(measurement(3, pairs={"m2": [(0, 0), (1, 1), (2, 2)]}))
"""


@pytest.mark.parametrize("room", [0, 1, 100, 400])
def test_a_disk_that_was_full_for_a_while_costs_nothing(tmp_path: Path, room: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _FULL, str(tmp_path), str(room)], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr
    found = read_journals(tmp_path).measurements
    kept = found["m1"].measurement
    assert [one.started for one in kept.processes] == ["start 0", "start 1", "start 2"]
    assert kept.pairs == {"m2": [(0, 0), (1, 1), (2, 2)]}
    assert len(found["m3"].measurement.processes) == 1


def test_what_another_version_wrote_is_not_taken_over(tmp_path: Path) -> None:
    facts = {"id": "m1", "recipe": "w/r"}
    (tmp_path / "journal.jsonl").write_bytes(encode(Event("measurement", "m1", raw(facts))) + b"\n")
    assert measured(tmp_path, "m1") == []


_WRITER = """
import sys
from pathlib import Path
from harness.measure.journal import Journal
from tests.measure.test_journal import measurement
journal, count = Journal(Path(sys.argv[1])), 0
while True:
    count += 1
    journal.keep(measurement(count))
    print(count, flush=True)
"""


def test_a_kill_loses_nothing_that_was_kept(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert process.stdout is not None
    told = [process.stdout.readline() for _ in range(20)]
    time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    told += process.stdout.readlines()
    process.wait()
    process.stdout.close()
    kept = read_journals(tmp_path).measurements["m1"].measurement
    assert len(kept.processes) >= int(told[-1])
    assert [one.started for one in kept.processes] == [f"start {n}" for n in range(len(kept.processes))]
