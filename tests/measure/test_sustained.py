"""Requests for minutes: windows, the first and the last of them, a machine that becomes hot meanwhile."""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from harness.core.bounds import parse_bound
from harness.core.errors import KpiError
from harness.core.statistics import percentile, plan_looks
from harness.judge.metrics import metrics
from harness.judge.metrics.base import ProcessMetric
from harness.judge.verdict import Verdict, judge_processes
from harness.measure.machine.temperature import Warmth
from harness.measure.records import ProcessRecord, Proof
from harness.measure.runtimes.base import TensorSession
from harness.measure.scenarios.base import ScenarioContext
from harness.measure.scenarios.sustained import Requests, Sustained
from harness.measure.validity import best_kernel, disturbance
from tests.measure.test_temperature import heat, zone
from tests.support.project import ROOT
from tests.support.replayed import formulas

if TYPE_CHECKING:
    from harness.measure.runtimes.base import Arrays

PROOF = Proof(runtime="test", version="1", device="CPU", precision="f32")


class Heating(TensorSession):
    """Takes 2 ms for a request, and 4 ms once it has been timed for 1.5 s: its heat shows in a file."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.begin = folder, math.inf

    @contextmanager
    def watch(self) -> Iterator[None]:
        self.begin = time.perf_counter()
        yield

    def run(self, feeds: Arrays) -> dict[str, Any]:
        hot = time.perf_counter() - self.begin > 1.5
        heat(self.folder, 80 if hot else 50)
        time.sleep(0.004 if hot else 0.002)
        return dict(feeds)

    def proof(self) -> Proof:
        return PROOF


def play(session: Heating, warmth: Callable[[], Warmth], samples: int = 20) -> dict[str, Any]:
    stage = ScenarioContext(
        inputs={"x": np.zeros((4, 1), np.float32)}, requests=Path(), seconds=0.02, samples=samples,
        workload=lambda: pytest.fail("no data set is needed"), outputs=Path(), progress=print, watch=session.watch,
        warmth=warmth,
    )  # fmt: skip
    return Sustained(Sustained.Options(minutes=0.05)).run(session, stage)


def record(seen: dict[str, Any], **more: Any) -> ProcessRecord:
    return ProcessRecord(
        started="2026-01-01T00:00:00+00:00", wall_s=4.0, load_s=0.1, first_inference_s=0.01, memory_before=0,
        memory_peak=0, proof=PROOF, **{**seen, **more},
    )  # fmt: skip


def figure(name: str, process: ProcessRecord) -> float:
    metric = metrics()[name]
    assert issubclass(metric, ProcessMetric)
    return metric.of(process)


def test_a_machine_that_becomes_hot_shows_in_the_last_part(tmp_path: Path) -> None:
    folder = zone(tmp_path, 0, "cpu-thermal", 50)
    seen = play(Heating(folder), lambda: Warmth.read(root=tmp_path))
    process = record(seen)
    columns = seen["details"]["windows"]
    assert {len(column) for column in columns.values()} == {len(columns["end_s"])}
    assert len(columns["end_s"]) >= 60
    assert columns["end_s"] == sorted(columns["end_s"])
    assert columns["celsius"][0] == 50
    assert columns["celsius"][-1] == 80
    assert columns["mhz"] == [None] * len(columns["end_s"])  # no such file there
    assert seen["details"]["part_s"] == 1
    # As long as it was asked for, and the last third of it is what is judged.
    assert 3 <= seen["details"]["span_s"] < 4
    assert 1 <= process.elapsed_s < 2
    assert process.completed == len(process.samples_s)
    assert sum(columns["requests"]) >= process.completed + len(process.series["first_s"])
    assert figure("sustained.latency.p50", process) == percentile(process.samples_s, 0.5) >= 0.004
    assert figure("sustained.latency.p99", process) >= figure("sustained.latency.p50", process)
    assert figure("sustained.latency.p90", process) >= figure("sustained.latency.p50", process)
    assert figure("sustained.throughput", process) == process.completed / process.elapsed_s < 250
    first = percentile(process.series["first_s"], 0.5)
    assert first >= 0.002
    assert figure("sustained.slowdown", process) == figure("sustained.latency.p50", process) / first
    for name in ("sustained.latency.p50", "sustained.throughput", "sustained.slowdown"):
        metric = metrics()[name]
        assert issubclass(metric, ProcessMetric)
        (said,) = metric.remarks([process])
        assert "in the first 1.00 s" in said
        assert "50 to 80 °C; clock not shown by the machine" in said
        assert metric.remarks([]) == []


def test_it_goes_on_until_the_last_part_has_its_samples(tmp_path: Path) -> None:
    class Slow(Heating):
        def run(self, feeds: Arrays) -> dict[str, Any]:
            time.sleep(0.05)
            return dict(feeds)

    seen = play(Slow(tmp_path), Warmth, samples=40)
    assert seen["completed"] == len(seen["samples_s"]) == 40
    assert seen["details"]["span_s"] >= 3.9
    metric = metrics()["sustained.latency.p50"]
    assert issubclass(metric, ProcessMetric)
    assert "in the last 2.0" in metric.remarks([record(seen)])[0]
    assert seen["details"]["windows"]["celsius"] == [None] * len(seen["details"]["windows"]["end_s"])


STOPPED = """
import json, sys
from pathlib import Path
from harness.measure.machine.temperature import Warmth
from tests.measure.test_sustained import Heating, play
session = Heating(Path(sys.argv[1]))
def warmth():
    print("asked", flush=True)
    return Warmth()
print(json.dumps(play(session, warmth)["details"]), flush=True)
"""


def test_after_a_stop_that_let_the_machine_cool_down_it_begins_again(tmp_path: Path) -> None:
    folder = zone(tmp_path, 0, "cpu-thermal", 50)
    with subprocess.Popen([sys.executable, "-c", STOPPED, folder], stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"asked\n"
        time.sleep(1.8)
        process.send_signal(signal.SIGSTOP)
        time.sleep(1)
        process.send_signal(signal.SIGCONT)
        details = json.loads(process.stdout.read().splitlines()[-1])
    # No window holds the stop, and all of the time came after it.
    assert max(b - a for a, b in pairwise([0.0, *details["windows"]["end_s"]])) < 0.9
    assert 3 <= details["span_s"] < 3.9


def test_what_is_kept_of_many_requests_is_bounded_and_spread_evenly() -> None:
    kept = Requests(100)
    for number in range(100_000):
        kept.add(float(number), number + number / 1e6)
    assert 50 <= len(kept.samples) <= 100
    assert (kept.count, kept.begin, kept.seconds) == (100_000, 0.0, 99_999 + 0.099999)
    numbers = [round(1e6 * sample) for sample in kept.samples]
    assert [number // 1024 for number in numbers] == list(range(len(numbers)))


@pytest.mark.parametrize("turn", [2, 4, 16])
def test_a_slow_sample_among_those_in_turn_is_kept_as_often_as_it_is_asked(turn: int) -> None:
    for slow in range(turn):
        kept = Requests(2000)
        for number in range(50_000):
            kept.add(0.0, 9.0 if number % turn == slow else 1.0)
        share = kept.samples.count(9.0) / len(kept.samples)
        assert 0.5 / turn < share < 2 / turn


def test_a_slow_first_part_of_a_disturbed_process_hides_no_slowdown() -> None:
    seen = {"samples_s": (0.004,) * 20, "completed": 20, "elapsed_s": 1.0}
    quiet = record(seen, series={"first_s": (0.002,) * 20})
    disturbed = record(seen, series={"first_s": (0.004,) * 20}, disturbed="other processes used 50 %")
    metric = metrics()["sustained.slowdown"]
    assert issubclass(metric, ProcessMetric)
    bound = parse_bound("<= 1.2 x", metric.dimension)
    looks = plan_looks((6, 9, 12), 0.97, 0.02)
    for process, verdict in ((quiet, Verdict.FAIL), (disturbed, Verdict.INCONCLUSIVE)):
        estimates = metric.estimates([process] * 12, 0.97)
        flags = [bool(process.disturbed)] * 12
        found = judge_processes(bound, estimates, looks=looks, confidence=0.97, disturbed=flags)
        assert found.verdict is verdict
        # The program that knows nothing of the harness says the same of the process.
        plain = {"samples_s": seen["samples_s"], "series": {"first_s": list(process.series["first_s"])}}
        own = formulas.estimate("sustained.slowdown", {**plain, "disturbed": process.disturbed}, 0.97)
        assert own == (estimates[0].value, estimates[0].low, estimates[0].high)


def test_a_slowdown_is_not_held_against_a_single_request() -> None:
    metric = metrics()["sustained.slowdown"]
    assert issubclass(metric, ProcessMetric)
    few = record({"samples_s": (9.0,) * 20, "series": {"first_s": (10.0,) * 4}})
    with pytest.raises(KpiError, match="needs 5 requests in the first part of a process, not 4") as raised:
        metric.estimates([few], 0.97)
    assert "minutes" in raised.value.remedy


def test_a_slowdown_of_processes_that_began_warm_is_said_to_be_one() -> None:
    seen = {"samples_s": (0.004,) * 20, "completed": 20, "elapsed_s": 1.0, "series": {"first_s": (0.004,) * 20}}
    seen |= {"details": {"part_s": 1.0, "windows": {"celsius": [80.0], "mhz": [None]}}}
    metric = metrics()["sustained.slowdown"]
    assert issubclass(metric, ProcessMetric)
    warm, cooled = record(seen), record(seen, system={"cooled": {"cool_to": 50, "seconds": 3.0}})
    assert "cool_to lets them begin cool" in metric.remarks([warm, warm])[-1]
    assert len(metric.remarks([warm])) == len(metric.remarks([cooled, cooled])) == 1


def test_what_its_own_heat_does_is_no_disturbance() -> None:
    system = {"seconds": 180.0, "throttled": 12, "heat": "the firmware capped the clock"}
    hot = record({}, kernel_s=(1.0, 1.0, 2.0, 2.0), system=system)
    best = best_kernel([record({}, kernel_s=(1.0,) * 4)])
    assert "kernel" in disturbance(hot, best)
    assert disturbance(hot, best, Sustained.heats) == ""
    warm_before = record({}, kernel_s=(2.0, 2.0, 2.0, 2.0))
    assert "kernel" in disturbance(warm_before, best, Sustained.heats)
    busy = record({}, kernel_s=(1.0,) * 4, system={"seconds": 180.0, "others": 0.5})
    assert "other processes" in disturbance(busy, best, Sustained.heats)
