"""Evidence of several machines side by side: figures, ratios with their intervals, costs, what is missing."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.cli.main import main
from harness.core.errors import KpiError
from harness.evidence.model import Evidence, KpiLine
from harness.reports.machines import Seen, compare, markdown
from tests.support import made_runs
from tests.support.project import Project


def process(speed: float) -> dict[str, Any]:
    """A process whose batches of 10 take ``1 / speed`` seconds."""
    return {
        "started": "2026-01-01T00:00:00+00:00", "wall_s": 1.0, "load_s": 0.1, "first_inference_s": 0.1,
        "memory_before": 0, "memory_peak": 1000, "completed": 100, "elapsed_s": 10 / speed, "batch": 10,
        "samples_s": [1 / speed] * 10,
        "proof": {"runtime": "openvino", "version": "1", "device": "CPU", "precision": "f32"},
        "system": {"window": {"energy": {"joules": {}, "missing": "no counters here"}}},
    }  # fmt: skip


def evidence(cpu: str, speed: float, price: float | None, processes: int = 6) -> Evidence:
    """A run on a machine ``speed`` times as fast, offline, its processes a hundredth apart."""
    measurement = {
        "id": "m", "recipe": "tiny/int8", "artifact": "a" * 64, "artifact_bytes": 1, "runtime": "openvino",
        "device": "cpu", "scenario": "offline",
        "processes": [process(speed * (1 + n / 100)) for n in range(processes)],
    }  # fmt: skip
    settings = {"confidence": 0.97, "looks": [6, 10], "against": [0, 1]}
    machine = {**made_runs.MACHINE, "cpu": cpu, "cores": 8}
    made = made_runs.evidence([], machine=machine, settings=settings, measurements=[measurement])
    kpi = KpiLine(name="a", workload="tiny", recipe="int8", machine="any-cpu", device="cpu", usd_per_hour=price)
    return replace(made, kpis=(kpi,))


def test_rates_and_costs_stand_side_by_side() -> None:
    seen = [Seen.of(evidence("slow", 1.0, 3.6)), Seen.of(evidence("fast", 4.0, 7.2))]
    rows = {row.metric.name: row for row in compare(seen)}
    rates = [figure.value for figure in rows["throughput.offline"].figures if figure]
    assert rates == pytest.approx([10.25, 41.0])
    costs = [figure.value for figure in rows["cost.per_million"].figures if figure]
    assert costs == pytest.approx([3.6e6 / 10.25 / 3600, 7.2e6 / 41 / 3600], rel=1e-3)
    assert rows["throughput.offline"].ratio().startswith("4.00 x (")
    assert rows["cost.per_million"].ratio().startswith("0.500 x (")


def test_what_is_not_known_is_said() -> None:
    text = markdown([Seen.of(evidence("free", 1.0, None)), Seen.of(evidence("few", 1.0, 1.0, processes=2))])
    assert "free, 8 cores: its price is not known" in text
    assert "energy is missing: no counters here" in text
    cost = next(line for line in text.splitlines() if "cost.per_million" in line)
    assert "|  |" in cost
    assert cost.rstrip().endswith("|  |")


def test_a_run_without_times_has_nothing_to_compare() -> None:
    empty = replace(evidence("x", 1.0, 1.0), measurements=[])
    with pytest.raises(KpiError, match="no recipe was timed"):
        compare([Seen.of(empty)])


@pytest.mark.suite
def test_the_command_writes_a_table_and_a_picture(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert project.pytest("-m", "latency").returncode == 0
    file = str(project.folder / ".kpi" / "latest" / "evidence.json")
    assert (
        main(["compare-machines", file, file, "--price", "1 USD/h", "--price", "2 USD/h", "--out", str(tmp_path)]) == 0
    )
    said = capsys.readouterr().out
    assert "`latency.p50`" in said
    assert said in (tmp_path / "machines.md").read_text(encoding="utf-8")
    picture = ET.parse(tmp_path / "machines.svg").getroot()
    assert picture.tag.endswith("svg")
    assert main(["compare-machines", file, "--price", "1"]) == 1
    assert "a unit is missing" in capsys.readouterr().err
    assert main(["compare-machines", file, file, "--price", "1 USD/h"]) == 1
    assert "1 prices for 2 files" in capsys.readouterr().err
    broken = tmp_path / "broken.json"
    broken.write_text(json.dumps({"schema": 1}), encoding="utf-8")
    assert main(["compare-machines", str(broken)]) == 1
    assert "is not evidence" in capsys.readouterr().err
