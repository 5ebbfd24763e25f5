"""How warm and how fast a machine is, in files as kernels of several boards write them; waiting until it is cool."""

from __future__ import annotations

import itertools
import threading
import time
from pathlib import Path

import pytest

from harness.core.errors import Unavailable
from harness.measure.machine.temperature import Thermometer, Warmth, clock, cool_down, temperature


def zone(root: Path, number: int, kind: str, celsius: float | str) -> Path:
    folder = root / f"sys/class/thermal/thermal_zone{number}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "type").write_text(f"{kind}\n", encoding="ascii")
    heat(folder, celsius)
    return folder


def heat(folder: Path, celsius: float | str) -> None:
    """Shows another temperature, at once and whole, as a kernel does."""
    new = folder / "new"
    new.write_text(celsius if isinstance(celsius, str) else f"{1000 * celsius:.0f}\n", encoding="ascii")
    new.replace(folder / "temp")


def chip(root: Path, number: int, name: str, *celsius: float) -> None:
    folder = root / f"sys/class/hwmon/hwmon{number}"
    folder.mkdir(parents=True)
    (folder / "name").write_text(f"{name}\n", encoding="ascii")
    for place, one in enumerate(celsius, 1):
        (folder / f"temp{place}_input").write_text(f"{1000 * one:.0f}\n", encoding="ascii")


def test_the_hottest_sensor_of_the_processor_counts(tmp_path: Path) -> None:
    zone(tmp_path, 0, "acpitz", 99)
    zone(tmp_path, 1, "iwlwifi_1", 98)
    chip(tmp_path, 0, "nvme", 97)
    assert temperature(root=tmp_path) is None
    zone(tmp_path, 2, "bigcore0-thermal", 61.5)
    zone(tmp_path, 10, "littlecore-thermal", 55)
    assert temperature(root=tmp_path) == 61.5
    chip(tmp_path, 1, "k10temp", 62.25, 70.5)
    assert temperature(root=tmp_path) == 70.5
    assert Warmth.read("npu", tmp_path).celsius == 70.5
    assert Warmth.read("npu", tmp_path).words == "70 °C"
    assert Warmth(48.2, 1500.4).words == "48 °C, processors at 1500 MHz"
    assert "cool_to can't be kept here" in Warmth(None, 1500.0).words


@pytest.mark.parametrize(
    "kind", ["x86_pkg_temp", "cpu-thermal", "cpu_thermal", "soc_thermal", "TCPU", "tj-thermal", "CPU-therm", "B0D4"]
)
def test_zones_of_processors_are_known(tmp_path: Path, kind: str) -> None:
    zone(tmp_path, 0, kind, 48)
    assert temperature(root=tmp_path) == 48


@pytest.mark.parametrize("shown", ["", "hot\n", "0\n", "-274000\n", "1000000\n", "127500000\n", "48.5\n"])
def test_a_broken_sensor_is_none(tmp_path: Path, shown: str) -> None:
    zone(tmp_path, 0, "cpu-thermal", shown)
    assert temperature(root=tmp_path) is None
    zone(tmp_path, 1, "cpu-thermal", 50)
    assert temperature(root=tmp_path) == 50


def test_the_clock_is_the_mean_of_the_processors_that_are_used(tmp_path: Path) -> None:
    assert clock(tmp_path, [0, 1]) is None
    listed = tmp_path / "proc/cpuinfo"
    listed.parent.mkdir()
    lines = [
        f"processor\t: {core}\nmodel name\t: made\ncpu MHz\t\t: {mhz}\n"
        for core, mhz in enumerate((1000.0, 3000.0, "?"))
    ]
    listed.write_text("\n".join(lines), encoding="ascii")
    assert clock(tmp_path, [0, 1, 2]) == 2000.0
    assert clock(tmp_path, [1]) == 3000.0
    for core, khz in enumerate((1_500_000, 2_400_000)):
        folder = tmp_path / f"sys/devices/system/cpu/cpu{core}/cpufreq"
        folder.mkdir(parents=True)
        (folder / "scaling_cur_freq").write_text(f"{khz}\n", encoding="ascii")
    assert clock(tmp_path, [0, 1]) == 1950.0
    assert clock(tmp_path, [7]) is None
    assert clock(tmp_path) is not None


def test_it_waits_until_the_machine_has_cooled_down(tmp_path: Path) -> None:
    folder, said = zone(tmp_path, 0, "cpu-thermal", 64), list[str]()

    def cool() -> None:
        for celsius in (60, 56, 52, 50):
            time.sleep(0.03)
            heat(folder, celsius)

    thread = threading.Thread(target=cool)
    thread.start()
    found = cool_down(50, lambda: temperature(root=tmp_path), said.append, every_s=0.005)
    thread.join()
    assert (found.cool_to, found.before, found.after) == (50, 64, 50)
    assert found.seconds >= 0.12
    assert said[0] == "64 °C, waits for 50 °C"


def test_a_cool_machine_does_not_wait(tmp_path: Path) -> None:
    zone(tmp_path, 0, "cpu-thermal", 49.9)
    found = cool_down(50, lambda: temperature(root=tmp_path), pytest.fail, every_s=60)
    assert found.seconds < 10
    assert found.to_json()["before"] == found.to_json()["after"] == 49.9


def test_without_a_sensor_nothing_is_measured(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="this machine does not show it") as raised:
        cool_down(50, lambda: temperature(root=tmp_path), pytest.fail)
    assert "leave out cool_to" in raised.value.remedy


def test_a_sensor_that_is_lost_while_waiting_is_told(tmp_path: Path) -> None:
    folder = zone(tmp_path, 0, "cpu-thermal", 70)
    shown = itertools.chain([temperature(root=tmp_path)], iter(lambda: temperature(root=tmp_path), 0))

    def read() -> float | None:
        found = next(shown)
        (folder / "temp").unlink(missing_ok=True)
        return found

    with pytest.raises(Unavailable, match="does not show it"):
        cool_down(50, read, lambda _: None, every_s=0.001)


@pytest.mark.parametrize("shown", ["", "0\n", "-273000\n"])
def test_a_hot_sensor_that_is_lost_while_another_stays_does_not_end_the_wait(tmp_path: Path, shown: str) -> None:
    hot, _, said = zone(tmp_path, 0, "cpu-thermal", 90), zone(tmp_path, 1, "soc-thermal", 40), list[str]()
    thermometer = Thermometer(root=tmp_path)

    def read() -> float | None:
        found = thermometer.read()
        heat(hot, shown)
        return found

    with pytest.raises(Unavailable, match=r"is at 90\.0 °C"):
        cool_down(50, read, said.append, patience_s=0.05, every_s=0.01)
    heat(hot, 45)
    assert cool_down(50, thermometer.read, pytest.fail).after == 45


def test_a_machine_that_stays_hot_is_told_after_a_while(tmp_path: Path) -> None:
    zone(tmp_path, 0, "cpu-thermal", 70)
    with pytest.raises(Unavailable, match=r"did not cool down to 50 °C within 0.05 s: .* is at 70.0 °C") as raised:
        cool_down(50, lambda: temperature(root=tmp_path), lambda _: None, patience_s=0.05, every_s=0.01)
    assert "raise cool_to" in raised.value.remedy
