"""Energy counters: read as the kernel lays them out, over their wrap, and said to be missing where they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.core.errors import Unavailable
from harness.judge.metrics.energy import EnergyPerSample
from harness.measure.machine.energy import EnergyMeter
from harness.measure.records import ProcessRecord, Proof
from tests.support.project import Project


def zone(folder: Path, zone: str, name: str, joules: float, wraps_at: float = 262.0) -> Path:
    """A powercap zone as Linux shows it."""
    made = folder / zone
    made.mkdir(exist_ok=True)
    (made / "name").write_text(f"{name}\n", encoding="ascii")
    (made / "max_energy_range_uj").write_text(f"{int(wraps_at * 1e6)}\n", encoding="ascii")
    (made / "energy_uj").write_text(f"{int(joules * 1e6)}\n", encoding="ascii")
    return made


def test_packages_and_memory_are_counted_and_cores_not_twice(tmp_path: Path) -> None:
    def set_to(package: float, dram: float) -> None:
        zone(tmp_path, "intel-rapl:0", "package-0", package)
        zone(tmp_path, "intel-rapl:0:0", "core", 1.0)
        zone(tmp_path, "intel-rapl:0:1", "dram", dram)

    set_to(260.0, 5.0)
    meter = EnergyMeter(tmp_path)
    before = meter.read()
    assert set(before) >= {"package-0", "dram-0"}
    assert "core" not in str(before)
    set_to(3.0, 6.5)  # the package has wrapped around
    taken = meter.between(before, meter.read())
    assert taken["joules"]["package-0"] == pytest.approx(5.0)
    assert taken["joules"]["dram-0"] == pytest.approx(1.5)


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    assert "no energy counters" in EnergyMeter(tmp_path).missing[0]
    (zone(tmp_path, "intel-rapl:0", "package-0", 1.0) / "energy_uj").unlink()
    assert "intel-rapl:0" in EnergyMeter(tmp_path).missing[0]


def record(energy: dict[str, object] | None, device: str = "CPU") -> ProcessRecord:
    return ProcessRecord(
        "2026-01-01T00:00:00", 1.0, 0.1, 0.1, 0, 1, Proof("openvino", "1", device, "f32"),
        completed=100, elapsed_s=1.0, system={"window": {"energy": energy}},
    )  # fmt: skip


def test_a_sample_takes_its_share() -> None:
    energy = {"joules": {"package-0": 20.0, "dram-0": 5.0, "nvidia0": 75.0}, "missing": ""}
    assert EnergyPerSample.of(record(energy)) == pytest.approx(0.25)
    assert EnergyPerSample.of(record(energy, "CUDA")) == pytest.approx(1.0)


@pytest.mark.parametrize("energy", [None, {"joules": {}, "missing": "no counters"}])
def test_nothing_is_made_up(energy: dict[str, object] | None) -> None:
    with pytest.raises(Unavailable, match="energy can't be measured here"):
        EnergyPerSample.of(record(energy))
    with pytest.raises(Unavailable, match="energy can't be measured here"):
        EnergyPerSample.of(record({"joules": {"package-0": 1.0}, "missing": ""}, "GPU.0"))


@pytest.mark.suite
def test_a_promise_of_energy_is_answered_either_way(project: Project) -> None:
    project.change("[kpi.targets]\n", '[kpi.targets]\n"energy.per_sample" = "< 1 kJ"\n')
    assert project.pytest("-m", "energy").returncode == 0
    evidence = project.evidence()
    (target,) = [t for t in evidence["targets"] if t["metric"] == "energy.per_sample"]
    told = [p["system"]["window"]["energy"] for m in evidence["measurements"] for p in m["processes"]]
    assert told
    if target["verdict"] == "UNAVAILABLE":
        assert told[0]["missing"] in target["reason"]
    else:
        assert target["verdict"] in ("PASS", "OFF_TARGET")
        assert target["value"] > 0
