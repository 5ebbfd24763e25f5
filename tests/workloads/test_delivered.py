"""Models of others, as packages of the registry ship them, judged from their files alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.project import ROOT, copied_project

pytestmark = [pytest.mark.suite, pytest.mark.long]

BROKEN = {
    "magika-int8:top1-drop-as-delivered",
    "pitch-int8:relative_error",
    "pitch-tflite-int8:relative_error",
    "voice-int8:relative_error",
}
"""What INT8 costs too much accuracy: the gate must say so."""


def test_delivered_models_are_judged(tmp_path: Path, shared_store: Path) -> None:
    project = copied_project(ROOT / "examples/delivered", tmp_path, shared_store)
    subprocess.run([sys.executable, "prepare.py"], cwd=project.folder, check=True)
    done = project.pytest("-m", "not latency")
    assert done.returncode == 1, done.stdout + done.stderr
    judged = {target["id"]: target for target in project.evidence()["targets"] if target["metric"] != "latency.p50"}
    found = {name: target["verdict"] for name, target in judged.items()}
    assert found == {name: "FAIL" if name in BROKEN else "PASS" for name in judged}
    assert len(judged) == 31
    again = project.recomputed()
    assert again.returncode == 0, again.stdout
