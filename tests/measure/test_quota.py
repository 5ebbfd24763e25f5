"""What a container's quota leaves, read from files as the kernel writes them, and from a real control group."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.core.bounds import parse_bound
from harness.core.units import BYTES, COUNT
from harness.measure.machine.detect import cores_of, detect, memory_of, mismatch
from harness.measure.machine.quota import Quota, Stops, quota, rise, stops
from harness.measure.machine.system import Snapshot, between
from harness.measure.threads import excess
from harness.spec.model import Machine
from tests.support.project import ROOT, Project

V2 = "30 24 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = (
    "31 30 0:28 {top} /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:7 - cgroup cgroup rw,cpu,cpuacct\n"
    "32 30 0:29 {top} /sys/fs/cgroup/memory rw,relatime shared:8 - cgroup cgroup rw,memory\n"
)
GB = 10**9


def write(root: Path, **files: str) -> Path:
    """Files below ``root``, a name's double underscores being slashes; dots are written as they are."""
    for name, text in files.items():
        file = root / name.replace("__", "/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return root


def system(root: Path, mounts: str, groups: str, files: dict[str, str]) -> Path:
    """A folder with ``proc`` and ``sys`` as a process in a container would see them."""
    write(root, proc__self__mountinfo=f"24 1 0:1 / / rw - ext4 /dev/vda rw\n{mounts}", proc__self__cgroup=groups)
    return write(root, **{f"sys__fs__cgroup__{name}": text for name, text in files.items()})


@pytest.mark.parametrize(
    ("mounts", "groups", "files", "processors", "memory"),
    [
        pytest.param(V2, "0::/\n", {"cpu.max": "200000 100000\n", "memory.max": "4000000000\n"}, 2.0, 4 * GB, id="v2"),
        pytest.param(V2, "0::/\n", {"cpu.max": "max 100000\n", "memory.max": "max\n"}, None, None, id="v2 unlimited"),
        pytest.param(V2, "0::/\n", {}, None, None, id="v2 the host's own top, which has no such files"),
        pytest.param(V2, "0::/\n", {"cpu.max": "50000 100000"}, 0.5, None, id="v2 half a processor"),
        pytest.param(
            V2,
            "0::/pod/app\n",
            {"cpu.max": "max 100000", "pod__cpu.max": "150000 100000", "pod__app__cpu.max": "400000 100000"},
            1.5,
            None,
            id="v2 nested: the outer one is smaller",
        ),
        pytest.param(
            V2,
            "0::/pod/app\n",
            {"pod__memory.max": "8000000000", "pod__app__memory.max": "2000000000"},
            None,
            2 * GB,
            id="v2 nested: the inner one is smaller",
        ),
        pytest.param(V2, "0::/../other\n", {"cpu.max": "100000 100000"}, 1.0, None, id="v2 a path that leads out"),
        pytest.param(
            V1.format(top="/"),
            "5:cpu,cpuacct:/docker/a1\n4:memory:/docker/a1\n",
            {
                "cpu,cpuacct__cpu.cfs_quota_us": "-1\n",
                "cpu,cpuacct__docker__a1__cpu.cfs_quota_us": "250000\n",
                "cpu,cpuacct__docker__a1__cpu.cfs_period_us": "100000\n",
                "memory__memory.limit_in_bytes": "9223372036854771712\n",
                "memory__docker__a1__memory.limit_in_bytes": "1000000000\n",
            },
            2.5,
            GB,
            id="v1",
        ),
        pytest.param(
            V1.format(top="/docker/a1"),
            "5:cpu,cpuacct:/docker/a1\n4:memory:/docker/a1\n",
            {
                "cpu,cpuacct__cpu.cfs_quota_us": "300000\n",
                "cpu,cpuacct__cpu.cfs_period_us": "100000\n",
                "memory__memory.limit_in_bytes": "3000000000\n",
            },
            3.0,
            3 * GB,
            id="v1 mounted at the container's own group",
        ),
        pytest.param(
            V1.format(top="/"),
            "5:cpu,cpuacct:/kubepods/b2\n4:memory:/kubepods/b2\n",
            {
                "cpu,cpuacct__cpu.cfs_quota_us": "100000",
                "cpu,cpuacct__cpu.cfs_period_us": "50000",
                "memory__memory.limit_in_bytes": "9223372036854771712",
            },
            2.0,
            None,
            id="v1 the host's path, which is not to be seen inside",
        ),
        pytest.param(
            V2.replace("/sys/fs/cgroup", "/sys/fs/cgroup/unified") + V1.format(top="/"),
            "5:cpu,cpuacct:/a\n4:memory:/a\n0::/b\n",
            {
                "cpu,cpuacct__a__cpu.cfs_quota_us": "100000",
                "cpu,cpuacct__a__cpu.cfs_period_us": "100000",
                "unified__b__memory.max": "5000000000",
            },
            1.0,
            5 * GB,
            id="both versions, a controller each",
        ),
        pytest.param("", "", {"cpu.max": "100000 100000"}, None, None, id="not mounted"),
        pytest.param(V2, "0::/\n", {"cpu.max": "nonsense", "memory.max": ""}, None, None, id="nonsense"),
    ],
)
def test_the_smallest_limit_on_the_path_counts(
    tmp_path: Path, mounts: str, groups: str, files: dict[str, str], processors: float | None, memory: int | None
) -> None:
    assert quota(system(tmp_path, mounts, groups, files)) == Quota(processors, memory)


def test_a_system_without_groups_has_no_quota(tmp_path: Path) -> None:
    assert quota(tmp_path) == Quota()
    assert stops("self", root=tmp_path) == {}


@pytest.mark.parametrize(
    ("processors", "visible", "cores"),
    [(None, 8, 8), (2.0, 64, 2), (1.5, 64, 1), (0.5, 64, 1), (2.999, 4, 2), (9, 4, 4)],
)
def test_a_quota_counts_in_whole_processors(processors: float | None, visible: int, cores: int) -> None:
    assert Quota(processors).cores(visible) == cores


def test_a_container_with_two_processors_is_not_a_machine_with_64() -> None:
    here = dataclasses.replace(
        detect(), cores=2, visible_cores=64, quota=2.5, memory=4 * GB, total_memory=128 * GB, cpu="AMD EPYC"
    )
    wanted = Machine("big", "cpu", cores=parse_bound(">= 64", COUNT))
    assert mismatch(wanted, here) == "2 cores (64 are visible, the quota leaves 2.5), promised for >= 64"
    wanted = Machine("big", "cpu", memory=parse_bound(">= 64 GB", BYTES))
    assert mismatch(wanted, here) == (
        "memory is 4.00 GB (the container's limit; the machine has 128 GB), promised for >= 64 GB"
    )
    assert mismatch(Machine("small", "cpu", cores=parse_bound(">= 2", COUNT)), here) == ""


def test_evidence_from_before_quotas_were_read_is_shown_as_before() -> None:
    old = dataclasses.replace(
        detect(), cores=8, memory=16_400_000_000, visible_cores=None, total_memory=None, quota=None
    )
    assert (cores_of(old), memory_of(old)) == ("8 cores", "16 GB")
    assert cores_of(dataclasses.replace(old, cores=1, visible_cores=4)) == "1 core (4 are visible)"


def test_stops_are_counted_in_both_versions(tmp_path: Path) -> None:
    one = system(tmp_path / "1", V1.format(top="/"), "5:cpu,cpuacct:/a\n", {
        "cpu,cpuacct__cpu.stat": "nr_periods 0\nnr_throttled 0\nthrottled_time 0\n",
        "cpu,cpuacct__a__cpu.stat": "nr_periods 40\nnr_throttled 12\nthrottled_time 2500000000\n",
    })  # fmt: skip
    assert set(stops("self", root=one).values()) == {Stops(0, 0.0), Stops(12, 2.5)}
    two = system(tmp_path / "2", V2, "0::/a\n", {
        "cpu.stat": "usage_usec 5\nuser_usec 3\n",
        "a__cpu.stat": "usage_usec 5\nnr_periods 40\nnr_throttled 12\nthrottled_usec 2500000\n",
    })  # fmt: skip
    assert list(stops("self", root=two).values()) == [Stops(12, 2.5)]


def test_of_nested_groups_the_longest_stop_counts() -> None:
    before = {"inner": Stops(3, 1.0), "outer": Stops(1, 0.0), "gone": Stops(1, 1.0)}
    after = {"inner": Stops(4, 1.1), "outer": Stops(6, 0.9), "new": Stops(9, 9.0)}
    assert rise(before, after) == Stops(5, 0.9)
    assert rise(before, before) == Stops(0, 0.0)
    assert rise({}, after) is None


@pytest.mark.parametrize(
    ("threads", "instances", "limit", "said"),
    [
        (64, 1, 2.0, "64 threads where the container's quota leaves 2 of 64 processors"),
        (2, 1, 1.5, "set threads = 1 "),
        (2, 2, 2.0, "2 x 2 threads"),
        (None, 1, 2.0, "as many threads as it sees processors"),
        (2, 1, 2.0, ""),
        (1, 1, 0.5, ""),
        (64, 1, None, ""),
        (64, 1, 64.0, ""),
    ],
)
def test_more_threads_than_the_quota_allows_are_said(
    threads: int | None, instances: int, limit: float | None, said: str
) -> None:
    here = dataclasses.replace(detect(), visible_cores=64, quota=limit, cores=Quota(limit).cores(64))
    found = excess(threads, instances, here)
    assert said in found
    assert bool(found) == bool(said)


@pytest.fixture
def group() -> Iterator[Path]:
    """A real control group with a tenth of a processor, for a child of this process; it takes root."""
    tops = [Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup/cpu,cpuacct"), Path("/sys/fs/cgroup")]
    for top in tops:
        folder = top / f"kpi-test-{os.getpid()}"
        try:
            folder.mkdir()
        except OSError:
            continue
        try:
            if (folder / "cpu.max").exists():
                (folder / "cpu.max").write_text("10000 100000", encoding="ascii")
            elif (folder / "cpu.cfs_quota_us").exists():
                (folder / "cpu.cfs_quota_us").write_text("10000", encoding="ascii")
            else:
                continue
            yield folder
        finally:
            folder.rmdir()
        return
    pytest.skip("no control group with a processor quota can be made here: it takes root and a writable /sys/fs/cgroup")


def test_a_real_quota_is_read_and_its_stops_are_seen(group: Path) -> None:
    code = (
        "import os, sys, time\n"
        "from pathlib import Path\n"
        "from harness.measure.machine.system import Snapshot, between\n"
        "from harness.measure.machine.quota import quota\n"
        f"Path({str(group)!r}, 'cgroup.procs').write_text(str(os.getpid()))\n"
        "before = Snapshot.take()\n"
        "end = time.monotonic() + 0.8\n"
        "while time.monotonic() < end: pass\n"
        "found = between(before, Snapshot.take())\n"
        "print(quota().processors, quota().cores(8), found['quota_stops'], found['quota_share'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    processors, cores, stopped, share = map(float, done.stdout.split())
    assert (processors, cores) == (0.1, 1)
    assert stopped >= 1
    assert 0.3 < share < 1


@pytest.mark.suite
def test_a_container_smaller_than_promised_is_off_target(project: Project, group: Path) -> None:
    if (os.cpu_count() or 1) < 2:
        pytest.skip("a quota of one processor is not a limit on a machine with one")
    limit = group / ("cpu.max" if (group / "cpu.max").exists() else "cpu.cfs_quota_us")
    limit.write_text("100000 100000" if limit.name == "cpu.max" else "100000", encoding="ascii")
    project.change('device = "cpu"', 'device = "cpu"\ncores = ">= 2"')
    project.change("threads = 1", "threads = 2")
    inside = ["sh", "-c", f'echo $$ > {group}/cgroup.procs; exec "$@"', "sh", *project.command("-k", "p50")]
    done = subprocess.run(
        inside, cwd=project.folder, env=project.variables, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout
    evidence = project.evidence()
    assert (evidence["machine"]["quota"], evidence["machine"]["cores"]) == (1, 1)
    assert evidence["machine"]["visible_cores"] == os.cpu_count()
    found = next(target for target in evidence["targets"] if target["metric"] == "latency.p50")
    assert found["verdict"] == "OFF_TARGET"
    assert "the quota leaves 1), promised for >= 2" in found["reason"]
    assert "ONNX Runtime starts 2 threads where the container's quota leaves 1 of " in found["notes"][0]
    assert "set threads = 1 " in found["notes"][0]


def test_a_window_without_a_quota_has_no_stops() -> None:
    seen = between(Snapshot.take(), Snapshot.take())
    assert seen["quota_stops"] in (None, 0) or quota().processors is not None
