"""What is sampled while it works: memory, processors, accelerators."""

from __future__ import annotations

import time
from pathlib import Path

from harness.measure.machine.accelerators import Accelerators
from harness.measure.machine.timeline import Timeline

CLIENT = """pos:\t0
drm-driver:\txe
drm-pdev:\t0000:00:02.0
drm-client-id:\t{client}
drm-engine-render:\t{render} ns
drm-engine-compute:\t500000000 ns
drm-engine-capacity-compute:\t4
drm-resident-system:\t0
drm-resident-vram0:\t{memory} KiB
"""


def test_a_machine_without_accelerators_says_nothing_of_them(tmp_path: Path) -> None:
    (tmp_path / "3").write_text("pos:\t0\nflags:\t02\n", encoding="ascii")
    seen = Accelerators(proc=tmp_path, sys=tmp_path).sample()
    assert {name for name in seen if not name.startswith("nvidia")} == set()


def test_a_gpus_own_use_is_summed_over_clients_once_each(tmp_path: Path) -> None:
    fd = tmp_path / "fd"
    fd.mkdir()
    (fd / "5").write_text(CLIENT.format(client=7, render=1_500_000_000, memory=1024), encoding="ascii")
    (fd / "6").write_text(CLIENT.format(client=7, render=1_500_000_000, memory=1024), encoding="ascii")
    (fd / "9").write_text(CLIENT.format(client=8, render=0, memory=512), encoding="ascii")
    (fd / "1").write_text("pos:\t0\n", encoding="ascii")
    seen = Accelerators(proc=fd, sys=tmp_path).sample()
    assert seen["gpu.busy_s"] == 1.5 + 0.5 + 0.5
    assert seen["gpu.memory"] == 1536 * 1024


def test_an_npus_busy_time_is_read(tmp_path: Path) -> None:
    device = tmp_path / "class/accel/accel0/device"
    device.mkdir(parents=True)
    busy = device / "npu_busy_time_us"
    busy.write_text("2500000\n", encoding="ascii")
    accelerators = Accelerators(proc=tmp_path, sys=tmp_path)
    assert accelerators.sample()["npu.busy_s"] == 2.5
    busy.write_text("gone", encoding="ascii")
    assert "npu.busy_s" not in accelerators.sample()


def test_a_timeline_is_sampled_marked_and_aligned() -> None:
    with Timeline() as timeline:
        timeline.mark("load")
        start = time.perf_counter()
        # A busy machine may let the thread that looks wait.
        while time.perf_counter() < start + 0.3 or (len(timeline.points) < 3 and time.perf_counter() < start + 30):
            sum(range(1000))
        timeline.mark("timed")
    seen = timeline.to_json()
    moments = [at for at, _, _ in seen["points"]]
    assert len(moments) >= 3
    assert moments == sorted(moments)
    assert seen["points"][-1][2] > seen["points"][0][2]
    assert 0 <= seen["marks"]["load"] < 0.3 <= seen["marks"]["timed"]
    assert all(len(values) == len(moments) for values in seen["devices"].values())
