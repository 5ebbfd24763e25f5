"""A project of digits that is judged here and on a machine that is reached, without torch on either side."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.support.boards import NAME, Board
from tests.support.model_files import FAST, digits_data, digits_model
from tests.support.project import ROOT, Project

LARGE = ("openvino", "ai-edge-litert", "ncnn")

MACHINE = f"""
[machine.edge]
device = "edge"
reach = "ssh:{NAME}"
"""
WORKLOAD = """
[workload.digits]
task = "image-classification"
model = "digits.onnx"
data = "digits.npz"
reference = "float"

[workload.digits.recipe.float]
runtime = "onnxruntime"

[workload.digits.recipe.optimized]
runtime = "onnxruntime"
passes = ["onnx-optimize"]
"""
EDGE = (("size", "< 1 MB"), ("latency.p50", "< 1 s"), ("accuracy.top1", "drop <= 5 pp vs float"))
TRUE_AND_FALSE = (
    ("latency.p50", "< 1 s", True),
    ("latency.p50", "< 1 us", False),
    ("latency.p99", "< 1 s", True),
    ("throughput.offline", ">= 1 fps", True),
    ("throughput.offline", ">= 1000000000 fps", False),
    ("accuracy.top1", ">= 80 %", True),
    ("accuracy.top1", ">= 99.9 %", False),
    ("parity.agreement", ">= 90 %", True),
)
"""Bounds, and whether they hold on any machine."""
HERE = """
[[kpi]]
name = "digits-here"
workload = "digits"
recipe = "float"
machine = "any-cpu"
targets = { "latency.p50" = "< 1 s" }
"""


def wrong(evidence: Mapping[str, Any]) -> list[str]:
    """The targets of TRUE_AND_FALSE whose verdict can't be right: what holds fails, or what does not passes."""
    truth = {bound: holds for _, bound, holds in TRUE_AND_FALSE}
    never = {("PASS", False), ("FAIL", True)}
    return [line["id"] for line in evidence["targets"] if (line["verdict"], truth[line["bound"]]) in never]


def _write_requirements(folder: Path) -> None:
    """A requirement file of the project's own: of ours without the large runtimes that its recipes do not need."""
    folder.mkdir(exist_ok=True)
    for file in sorted((ROOT / "harness/measure/reach/requirements").glob("*.txt")):
        kept = [line for line in file.read_text(encoding="utf-8").splitlines() if not line.startswith(LARGE)]
        (folder / f"reach-{file.name}").write_text("\n".join(kept) + "\n", encoding="utf-8")


def _edge(kpis: Sequence[tuple[object, ...]]) -> str:
    bounds: dict[object, list[object]] = {}
    for metric, bound, *_ in kpis:
        bounds.setdefault(metric, []).append(bound)
    targets = "\n".join(f"{json.dumps(metric)} = {json.dumps(found)}" for metric, found in bounds.items())
    head = '[[kpi]]\nname = "digits-edge"\nworkload = "digits"\nrecipe = "optimized"\nmachine = "edge"\n'
    return f"\n{head}\n[kpi.targets]\n{targets}\n"


def board_project(
    folder: Path, store: Path, board: Board, more: str = "", kpis: Sequence[tuple[object, ...]] = EDGE
) -> Project:
    """The project; ``kpis`` are metrics with bounds that the board must keep, ``more`` is added to its kpis.toml."""
    folder.mkdir(parents=True, exist_ok=True)
    digits_model(folder / "digits.onnx")
    digits_data(folder / "digits.npz")
    (folder / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers\n", encoding="utf-8")
    (folder / "kpis.toml").write_text(FAST + MACHINE + WORKLOAD + _edge(kpis) + more, encoding="utf-8")
    _write_requirements(folder / "environments")
    made = Project(folder, store, board.environment)
    made.leave_alone()
    return made
