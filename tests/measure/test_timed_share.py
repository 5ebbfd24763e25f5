"""The table of what share of the processes' time was timed, over a small made-up evidence."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from harness.measure.journal import Journal
from tests.support.made_runs import evidence, process
from tests.support.plain_evidence import sealed_text
from tests.support.project import ROOT

PHASES = {"import": 0.2, "load": 0.1, "prepare": 0.3, "timed": 0.5, "proof": 0.1}
NEW = {"wall_s": 1.2, "load_s": 0.1, "first_inference_s": 0.0, "system": {"life_s": 1.5, "phases": PHASES}}
OLD = {"wall_s": 2.0, "load_s": 0.1, "first_inference_s": 0.1, "system": {"timed": [10.0, 10.5]}}
SCORED = {"wall_s": 5.0, "load_s": 0.5, "first_inference_s": 0.5, "system": {"life_s": 6.0, "phases": {"scored": 3.0}}}


def table(*arguments: str) -> list[list[str]]:
    script = ROOT / "benchmarks" / "timed_share.py"
    done = subprocess.run(
        [sys.executable, str(script), *arguments], capture_output=True, text=True, check=True, timeout=60
    )
    return [line.split() for line in done.stdout.splitlines()]


def measurement(scenario: str, *processes: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": f"a-{scenario}", "recipe": "w/r", "artifact": "a", "artifact_bytes": 1, "runtime": "openvino",
        "device": "cpu", "scenario": scenario,
        "processes": [process(0.001, 3, disturbed=False) | own for own in processes],
    }  # fmt: skip


def test_share_of_old_and_new_processes(tmp_path: Path) -> None:
    older = {**SCORED, "system": {"timed": None}}
    made = [measurement("single-stream", NEW, OLD), measurement("evaluate", SCORED, older)]
    file = tmp_path / "evidence.json"
    file.write_bytes(sealed_text(evidence([], measurements=made)))
    _, evaluate, single, whole = table(str(file))
    # Those that took longest first; what the older one does not say is counted as timed.
    assert evaluate == ["openvino", "evaluate", "2", "11.0", "7.0", "63.6", "%"]
    assert single == ["openvino", "single-stream", "2", "3.5", "1.0", "28.6", "%"]
    assert whole == ["total", "4", "14.5", "8.0", "55.2", "%"]


def test_the_folder_of_a_run_that_goes_on_is_read_too(tmp_path: Path) -> None:
    (measured,) = evidence([], measurements=[measurement("offline", NEW, NEW)]).measurements
    journal = Journal(tmp_path)
    journal.keep(measured)
    with journal.path.open("a", encoding="utf-8") as file:
        file.write('{"event":"process","measurement":"a-offline","rec')  # is being written
    lines = table(str(tmp_path), "--phases")
    assert lines[1] == ["openvino", "offline", "2", "3.0", "1.0", "33.3", "%"]
    assert " ".join(lines[3]) == (
        "openvino offline: import 0.200, load 0.100, prepare 0.300, timed 0.500, proof 0.100, start and end 0.300"
    )
