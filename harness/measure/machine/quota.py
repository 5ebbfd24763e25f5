"""What the control groups of a container leave to a process: processors, memory, and how often they stopped it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

ROOT = Path("/")
_NO_LIMIT = 2**60
"""Version 1 writes "no limit" as the largest number of whole pages; no machine has this many bytes."""


@dataclass(frozen=True, slots=True)
class Quota:
    """The smallest limits on the path of nested groups; None where there is none.

    ``processors`` is time: 1.5 is one and a half processors' worth of every period; ``memory`` is in bytes.
    """

    processors: float | None = None
    memory: int | None = None

    def cores(self, visible: int) -> int:
        """Whole processors of the ``visible`` ones that the quota keeps busy: rounded down, one at least."""
        return visible if self.processors is None else max(1, min(visible, int(self.processors + 1e-6)))


@dataclass(frozen=True, slots=True)
class Stops:
    """How often one group used its quota up since it was made, and for how long its processors stood still, summed."""

    periods: int
    seconds: float


def quota(root: Path = ROOT, process: int | str = "self") -> Quota:
    """The limits of a process; ``root`` is the folder in which ``proc`` and ``sys`` are."""
    processors = [found for group in _groups("cpu", root, process) for found in _processors(group)]
    memory = [found for group in _groups("memory", root, process) for found in _memory(group)]
    return Quota(min(processors, default=None), min(memory, default=None))


def stops(*processes: int | str, root: Path = ROOT) -> dict[str, Stops]:
    """The counters of every group that can stop one of the processes, by the group's folder.

    A group whose counters are not shown is left out.
    """
    groups = {group for process in processes for group in _groups("cpu", root, process)}
    return {str(group): found for group in groups if (found := _stops(group)) is not None}


def rise(before: Mapping[str, Stops], after: Mapping[str, Stops]) -> Stops | None:
    """What the counters rose by: of nested groups the one that stopped for longest; None where none was shown."""
    both = [(before[name], after[name]) for name in before.keys() & after.keys()]
    rises = [Stops(max(0, b.periods - a.periods), max(0.0, b.seconds - a.seconds)) for a, b in both]
    return max(rises, key=lambda found: (found.seconds, found.periods), default=None)


def _groups(controller: str, root: Path, process: int | str) -> Iterator[Path]:
    """The folders of the groups that a process is in, the innermost first, in both versions' hierarchies."""
    paths = dict(_paths(root, process))
    for kind, top, point, controllers in _mounts(root):
        key = controller if kind == "cgroup" and controller in controllers else "" if kind == "cgroup2" else None
        if key is None or key not in paths:
            continue
        folder = point / _below(paths[key], top)
        while folder != point and not folder.is_dir():
            folder = folder.parent  # the host's path of a container that sees its own group alone
        yield folder
        while folder != point:
            folder = folder.parent
            yield folder


def _paths(root: Path, process: int | str) -> Iterator[tuple[str, str]]:
    """The path of a process's group by controller; version 2's under the empty name."""
    for line in _text(root / f"proc/{process}/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        for controller in controllers.split(","):
            yield controller, path


def _mounts(root: Path) -> Iterator[tuple[str, str, Path, list[str]]]:
    """Version, path of the group at the top, folder, controllers of each hierarchy that is mounted (proc(5))."""
    for line in _text(root / "proc/self/mountinfo").splitlines():
        before, _, behind = line.partition(" - ")
        mount, system = before.split(" "), behind.split(" ")
        if len(mount) > 4 and len(system) > 2 and system[0] in ("cgroup", "cgroup2"):  # noqa: PLR2004 - fields of proc(5)
            point = re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), mount[4])
            yield system[0], mount[3], root / point.lstrip("/"), system[2].split(",")


def _below(path: str, top: str) -> PurePosixPath:
    """Where a group is below the one at the top of a mount; at the top itself where the path is not below it."""
    try:
        inside = PurePosixPath(path).relative_to(top)
    except ValueError:
        return PurePosixPath()
    # Of a group outside of this container's own, the path leads up and out: nothing there is to be seen.
    return PurePosixPath() if ".." in inside.parts else inside


def _processors(group: Path) -> Iterator[float]:
    limit, _, period = _text(group / "cpu.max").partition(" ")
    if not limit:
        limit, period = _text(group / "cpu.cfs_quota_us"), _text(group / "cpu.cfs_period_us")
    if limit.isdigit() and period.isdigit() and int(period):
        yield int(limit) / int(period)


def _memory(group: Path) -> Iterator[int]:
    limit = _text(group / "memory.max") or _text(group / "memory.limit_in_bytes")
    if limit.isdigit() and int(limit) < _NO_LIMIT:
        yield int(limit)


def _stops(group: Path) -> Stops | None:
    found = dict(re.findall(r"^(\w+) (\d+)$", _text(group / "cpu.stat"), re.MULTILINE))
    if "nr_throttled" not in found:
        return None
    # Microseconds in version 2, nanoseconds in version 1.
    seconds = int(found.get("throttled_usec", 0)) / 1e6 + int(found.get("throttled_time", 0)) / 1e9
    return Stops(int(found["nr_throttled"]), seconds)


def _text(path: Path) -> str:
    """The file's text; empty where it is not there or can't be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
