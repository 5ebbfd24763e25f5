"""The operating system's own counters around a measurement: other processes' time, steal, a quota's stops, heat."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from harness.measure.machine.heat import Heat
from harness.measure.machine.quota import Stops, rise, stops


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Counters at one moment; seconds, counts. ``own`` is the time of this process and of those it started."""

    wall: float
    busy: float
    steal: float
    own: float
    involuntary: int
    stalled_us: int | None
    heat: Heat = field(default_factory=Heat)
    stops: Mapping[str, Stops] = field(default_factory=dict)

    @classmethod
    def take(cls) -> Snapshot:
        """Reads the counters: of all processors, then of this process with its children."""
        total = psutil.cpu_times()
        idle = total.idle + getattr(total, "iowait", 0.0)
        steal = getattr(total, "steal", 0.0)
        # Guest time is part of user time already.
        known = ("user", "nice", "system", "irq", "softirq")
        busy = sum(getattr(total, name, 0.0) for name in known) if idle else 0.0
        own = sum(_processor_seconds(process) for process in _own().values())
        switches = psutil.Process().num_ctx_switches()
        stopped, heat = stops(os.getpid(), *_ADOPTED), Heat.read()
        return cls(time.monotonic(), busy, steal, own, switches.involuntary, _stalled(), heat, stopped)


_ADOPTED: set[int] = set()


def adopt(process: int) -> None:
    """Counts a process, with those that it started, as the measurement's own: a server that somebody else started."""
    _ADOPTED.add(process)


def listeners(port: int) -> set[int]:
    """The processes of this machine that listen at a port, as far as this user may know."""
    try:
        found = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:
        return set()
    return {c.pid for c in found if c.status == psutil.CONN_LISTEN and c.laddr.port == port and c.pid}


def _own() -> dict[int, psutil.Process]:
    """Every process whose time is the measurement's: its own, the adopted ones, and all that they started."""
    found: dict[int, psutil.Process] = {}
    for number in (os.getpid(), *_ADOPTED):
        try:
            first = psutil.Process(number)
            found |= {process.pid: process for process in (first, *first.children(recursive=True))}
        except psutil.Error:
            continue  # a server that has ended uses no time any more
    return found


def between(before: Snapshot, after: Snapshot) -> dict[str, Any]:
    """What happened meanwhile; shares are of all processors' time."""
    wall = max(after.wall - before.wall, 1e-9)
    capacity = wall * (os.cpu_count() or 1)
    own = after.own - before.own
    frequency = _frequency()
    first, last = before.heat.events, after.heat.events
    return {
        "seconds": round(wall, 4),
        "steal": round(max(0.0, after.steal - before.steal) / capacity, 4),
        "others": round(max(0.0, after.busy - before.busy - own) / capacity, 4),
        "own": round(own / capacity, 4),
        "involuntary_switches": after.involuntary - before.involuntary,
        "stalled": (
            None
            if after.stalled_us is None or before.stalled_us is None
            else round((after.stalled_us - before.stalled_us) / 1e6 / wall, 4)
        ),
        "throttled": None if first is None or last is None else max(0, last - first),
        "heat": after.heat.slowed(before.heat),
        **_quota(rise(before.stops, after.stops), own),
        "mhz": frequency,
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


def _quota(stopped: Stops | None, own: float) -> dict[str, Any]:
    """How often a container's quota stopped the work, and for which share of the time that it wanted a processor.

    The kernel adds up the time of every processor that stood still; ``own`` are the seconds of those that worked.
    """
    if stopped is None:
        return {"quota_stops": None, "quota_share": None}
    wanted = stopped.seconds + own
    return {"quota_stops": stopped.periods, "quota_share": round(stopped.seconds / wanted, 4) if wanted else 0.0}


def _stalled() -> int | None:
    """Microseconds in which some task waited for a processor (pressure stall information), where the kernel has it."""
    try:
        first = Path("/proc/pressure/cpu").read_text(encoding="ascii").splitlines()[0]
        return int(first.rpartition("total=")[2])
    except (OSError, ValueError, IndexError):
        return None


def _processor_seconds(process: psutil.Process) -> float:
    """Of a process: this one, or a server that it started and whose work is the artifact's too."""
    try:
        used = process.cpu_times()
    except psutil.Error:
        return 0.0
    return float(used.user + used.system)


def _frequency() -> float | None:
    try:
        now = psutil.cpu_freq()
    except (OSError, NotImplementedError, RuntimeError):
        return None
    return round(now.current, 1) if now else None


def resident() -> int:
    """Bytes of this process in memory now."""
    return int(psutil.Process().memory_info().rss)


def reset_peak() -> None:
    """Lets the kernel's high-water mark start again from here, where it can."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return


def peak() -> int:
    """The largest resident set since :func:`reset_peak`, or since the start where that is not possible."""
    try:
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    info = psutil.Process().memory_info()
    if hasattr(info, "peak_wset"):
        return int(info.peak_wset)
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if os.uname().sysname == "Darwin" else most * 1024
