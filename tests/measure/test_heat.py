"""Where heat can be seen, and what counts as being slowed down by it: files as kernels of several boards write them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from harness.measure.machine.detect import detect, heat_of
from harness.measure.machine.heat import Heat
from harness.reports.html.machine import machines
from harness.reports.markdown import render
from tests.support.plain_evidence import as_evidence
from tests.support.project import ROOT

FIRMWARE = "sys/devices/platform/soc/soc:firmware/get_throttled"


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="ascii")
    return root


def cooling(number: int, kind: str, level: int, most: int = 5) -> dict[str, str]:
    folder = f"sys/class/thermal/cooling_device{number}"
    return {f"{folder}/type": f"{kind}\n", f"{folder}/cur_state": f"{level}\n", f"{folder}/max_state": f"{most}\n"}


def clock(khz: int) -> dict[str, str]:
    return {"sys/devices/system/cpu/cpufreq/policy4/scaling_max_freq": f"{khz}\n"}


def counter(count: int) -> dict[str, str]:
    return {"sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count": f"{count}\n"}


@pytest.mark.parametrize(
    ("files", "sources"),
    [
        ({}, ()),
        (counter(0), ("thermal_throttle counters",)),
        (cooling(0, "thermal-cpufreq-0", 0), ("cooling device thermal-cpufreq-0 (0)",)),
        (cooling(2, "cpufreq-cpu4", 0), ("cooling device cpufreq-cpu4 (2)",)),
        (cooling(1, "Processor", 0), ("cooling device Processor (1)",)),
        (cooling(0, "intel_powerclamp", -1), ("cooling device intel_powerclamp (0)",)),
        (cooling(0, "pwm-fan", 3) | cooling(1, "LCD", 0) | cooling(2, "TCC Offset", 7), ()),
        ({FIRMWARE: "0\n"}, ("firmware (get_throttled)",)),
        ({FIRMWARE.replace("soc", "soc@107c000000"): "0\n"}, ("firmware (get_throttled)",)),
        # A clock may be limited for other reasons: it alone does not show heat.
        (clock(2_400_000), ()),
    ],
)  # fmt: skip
def test_where_heat_can_be_seen(tmp_path: Path, files: dict[str, str], sources: tuple[str, ...]) -> None:
    heat = Heat.read(write(tmp_path, files))
    assert heat.sources == sources
    assert ("not visible" in heat_of(replace(detect(), heat=heat.sources))) == (not sources)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (cooling(0, "thermal-cpufreq-0", 0), cooling(0, "thermal-cpufreq-0", 0), ""),
        (
            cooling(0, "thermal-cpufreq-0", 0),
            cooling(0, "thermal-cpufreq-0", 2),
            "cooling device thermal-cpufreq-0 (0) was at level 2 of 5",
        ),
        (
            cooling(0, "thermal-cpufreq-0", 3),
            cooling(0, "thermal-cpufreq-0", 0),
            "cooling device thermal-cpufreq-0 (0) was at level 3 of 5",
        ),
        (cooling(0, "pwm-fan", 0), cooling(0, "pwm-fan", 4), ""),
        (cooling(0, "intel_powerclamp", -1, 50), cooling(0, "intel_powerclamp", -1, 50), ""),
        (clock(2_400_000), clock(1_800_000), "the highest clock of policy4 fell from 2400 to 1800 MHz"),
        (clock(1_800_000), clock(2_400_000), ""),
        ({FIRMWARE: "0"}, {FIRMWARE: "0"}, ""),
        ({FIRMWARE: "0"}, {FIRMWARE: "4"}, "the firmware throttled the processor"),
        ({FIRMWARE: "2"}, {FIRMWARE: "0"}, "the firmware capped the clock"),
        # In between alone: the bits of "ever" are kept.
        ({FIRMWARE: "0"}, {FIRMWARE: "80000"}, "the firmware reached the soft temperature limit"),
        # Long ago, and under-voltage alone.
        ({FIRMWARE: "e0000"}, {FIRMWARE: "e0000"}, ""),
        ({FIRMWARE: "0"}, {FIRMWARE: "10001"}, ""),
        ({FIRMWARE: "0"}, {FIRMWARE: ""}, ""),
    ],
)
def test_what_slowed_the_machine_down(tmp_path: Path, before: dict[str, str], after: dict[str, str], said: str) -> None:
    first, second = Heat.read(write(tmp_path / "1", before)), Heat.read(write(tmp_path / "2", after))
    assert second.slowed(first).startswith(said)
    assert bool(second.slowed(first)) == bool(said)


def test_events_are_counted(tmp_path: Path) -> None:
    assert Heat.read(write(tmp_path / "1", counter(7))).events == 7
    assert Heat.read(tmp_path / "2").events is None


def test_the_tool_of_the_board_is_asked_where_the_kernel_shows_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "vcgencmd"
    tool.write_text('#!/bin/sh\n[ "$1" = get_throttled ] && echo throttled=0x50004\n', encoding="ascii")
    tool.chmod(0o755)
    if Heat.read().firmware is not None:
        pytest.skip("the kernel of this machine shows the firmware's bits")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert Heat.read().firmware == 0x50004
    tool.write_text("#!/bin/sh\nexit 1\n", encoding="ascii")
    assert Heat.read().firmware is None


@pytest.mark.parametrize(("heat", "said"), [([], True), (["thermal_throttle counters"], False), (None, False)])
def test_reports_say_once_that_heat_was_not_visible(heat: list[str] | None, said: bool) -> None:  # noqa: FBT001
    plain = json.loads((ROOT / "tests/recorded/evidence.json").read_text(encoding="utf-8"))
    if heat is not None:
        plain["machine"]["heat"] = heat
    evidence = as_evidence(plain)
    assert render(evidence).count("heat is not visible") == said
    ((_, pairs),) = machines(evidence)
    shown = dict(pairs).get("heat", "")
    assert ("not visible" in shown) == said
    assert bool(shown) == (heat is not None)


def test_this_machine_says_where_heat_is_seen() -> None:
    assert heat_of(detect())
    assert heat_of(replace(detect(), heat=None)) == ""  # of older evidence
