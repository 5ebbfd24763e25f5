"""What makes a process count as disturbed, and where that is read."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from harness.measure.instances import _quota
from harness.measure.machine.heat import Heat, throttle_events
from harness.measure.machine.quota import Stops
from harness.measure.machine.system import Snapshot, between
from harness.measure.records import ProcessRecord, Proof
from harness.measure.validity import best_kernel, disturbance, hopeless

QUIET = {"seconds": 2.0, "steal": 0.0, "others": 0.02, "throttled": 0}


def process(kernel: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0), samples: tuple[float, ...] = (), **system: Any) -> Any:
    return ProcessRecord(
        started="2026-01-01T00:00:00+00:00",
        wall_s=2.0,
        load_s=0.1,
        first_inference_s=0.01,
        memory_before=0,
        memory_peak=0,
        proof=Proof(runtime="openvino", version="1", device="CPU", precision="f32"),
        samples_s=samples,
        kernel_s=kernel,
        system={**QUIET, **system},
    )


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        (process(), ""),
        (process(steal=0.04, others=0.1), ""),
        (process(steal=0.06), "6 % of the processors' time was stolen"),
        (process(others=0.2), "other processes used 20 %"),
        (process(window={"seconds": 0.5, "others": 0.3}), "other processes used 30 %"),
        (process(window={"seconds": 0.1, "others": 0.3}), ""),
        (process(throttled=3), "heat slowed the processors down 3 times"),
        (process(throttled=None), ""),
        (process(heat="the firmware capped the clock"), "heat slowed the machine down: the firmware capped the clock"),
        (process(heat=""), ""),
        (process(quota_stops=None), ""),
        (process(quota_stops=0, quota_share=0.0), ""),
        (process(quota_stops=7, quota_share=0.38), "the quota stopped it for 38 % of the time"),
        (
            process(window={"seconds": 0.1, "quota_stops": 1, "quota_share": 0.002}),
            "less than 1 % of the time",
        ),
        # While it was loaded, not while it was timed.
        (process(quota_stops=7, quota_share=0.38, window={"seconds": 0.1, "quota_stops": 0, "quota_share": 0.0}), ""),
        (process(kernel=(1.0, 1.0, 1.3, 1.4)), "1.35 times slower"),
        (process(kernel=(1.1, 1.2, 1.1, 1.0)), ""),
    ],
)
def test_a_process_is_disturbed_by_what_the_machine_says(seen: ProcessRecord, reason: str) -> None:
    said = disturbance(seen, best_kernel([process()]))
    assert reason in said
    assert bool(said) == bool(reason)


def test_the_artifacts_own_times_never_disturb_it() -> None:
    slow = process(samples=(10.0, 1000.0, 1e6))
    assert disturbance(slow, best_kernel([slow, process(samples=(0.001,))])) == ""


def test_heat_is_counted_where_linux_counts_it(tmp_path: Path) -> None:
    assert throttle_events(tmp_path) is None
    for cpu, core in (("cpu0", 2), ("cpu1", 3), ("cpu12", 0)):
        folder = tmp_path / cpu / "thermal_throttle"
        folder.mkdir(parents=True)
        (folder / "core_throttle_count").write_text(f"{core}\n", encoding="ascii")
        (folder / "package_throttle_count").write_text("7\n", encoding="ascii")
    (tmp_path / "cpufreq").mkdir()
    assert throttle_events(tmp_path) == 2 + 3 + 7
    (tmp_path / "cpu1" / "thermal_throttle" / "core_throttle_count").write_text("offline", encoding="ascii")
    assert throttle_events(tmp_path) == 2 + 7


def test_what_happened_between_two_looks_at_the_machine() -> None:
    before = Snapshot(wall=10.0, busy=5.0, steal=1.0, own=2.0, involuntary=4, stalled_us=None, heat=Heat(7))
    after = Snapshot(wall=12.0, busy=6.0, steal=1.0, own=3.0, involuntary=9, stalled_us=None, heat=Heat(9))
    found = between(before, after)
    assert found["throttled"] == 2
    assert found["others"] == found["steal"] == 0
    assert found["involuntary_switches"] == 5
    assert found["stalled"] is None
    unknown = Snapshot(wall=12.0, busy=6.0, steal=1.0, own=3.0, involuntary=9, stalled_us=None)
    assert between(before, unknown)["throttled"] is None


def test_the_counters_of_this_machine_can_be_read() -> None:
    seen = between(Snapshot.take(), Snapshot.take())
    assert seen["seconds"] > 0
    assert 0 <= seen["steal"] <= 1


def test_a_stop_by_the_quota_is_a_share_of_the_time_that_was_wanted() -> None:
    before = Snapshot(10.0, 5.0, 0.0, own=2.0, involuntary=4, stalled_us=None, stops={"/pod": Stops(1, 1.0)})
    after = Snapshot(12.0, 6.0, 0.0, own=3.0, involuntary=4, stalled_us=None, stops={"/pod": Stops(9, 4.0)})
    found = between(before, after)
    assert (found["quota_stops"], found["quota_share"]) == (8, 0.75)
    unseen = between(before, Snapshot(12.0, 6.0, 0.0, own=3.0, involuntary=4, stalled_us=None))
    assert (unseen["quota_stops"], unseen["quota_share"]) == (None, None)


def test_instances_share_the_stops_of_one_quota() -> None:
    # Each wanted 2 s, of which 1 s was given; the 1 s of standing still is one and the same, counted by both.
    assert _quota([{"quota_stops": 5, "quota_share": 0.5}] * 2) == {"quota_stops": 5, "quota_share": 0.3333}
    assert _quota([{"quota_stops": 0}, {}]) == {}


def test_only_disturbed_processes_in_a_row_are_hopeless() -> None:
    spoilt, clean = dataclasses.replace(process(), disturbed="heat"), process()
    assert hopeless([clean, *[spoilt] * 3], 3)
    assert not hopeless([spoilt] * 2, 3)
    assert not hopeless([spoilt, spoilt, clean, spoilt], 3)
    assert not hopeless([spoilt] * 5 + [clean], 1)
