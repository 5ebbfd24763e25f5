"""Which processors a process may use: asked for in a recipe, set in the worker, read back from its threads."""

from __future__ import annotations

import os
import re
from pathlib import Path

from harness.core.errors import KpiError, Unavailable


def parse_cores(text: str) -> frozenset[int]:
    """Reads a list such as "0-3,6"; ValueError when it is none."""
    found: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,5})(?:\s*-\s*(\d{1,5}))?\s*", part)
        if match is None or (match[2] and int(match[2]) < int(match[1])):
            raise ValueError(f'cores = {text!r}: write a list like "0-3,6"')
        found.update(range(int(match[1]), int(match[2] or match[1]) + 1))
    return frozenset(found)


def format_cores(cores: frozenset[int]) -> str:
    """The shortest list that :func:`parse_cores` reads as ``cores``."""
    parts: list[list[int]] = []
    for core in sorted(cores):
        if parts and core == parts[-1][-1] + 1:
            parts[-1][1:] = [core]
        else:
            parts.append([core])
    return ",".join("-".join(map(str, part)) for part in parts)


def pin(text: str) -> None:
    """Confines this process, and whatever threads and children it starts from now on.

    Raises Unavailable where the machine has no such processors, or no way to choose among them.
    """
    if not hasattr(os, "sched_setaffinity"):
        raise Unavailable("this system can't confine a process to processors", "leave out `cores`, or run on Linux")
    wanted, allowed = parse_cores(text), frozenset(os.sched_getaffinity(0))
    if missing := wanted - allowed:
        raise Unavailable(
            f"processors {format_cores(missing)} are asked for, this process may use {format_cores(allowed)}",
            "change `cores`, or run on a machine that has them",
        )
    os.sched_setaffinity(0, wanted)


def confined() -> int | None:
    """How many processors this process is confined to; None where it may use all of them."""
    if not hasattr(os, "sched_getaffinity"):
        return None
    permitted = len(os.sched_getaffinity(0))
    return permitted if permitted < (os.cpu_count() or permitted) else None


def in_force(tasks: Path = Path("/proc/self/task")) -> str:
    """The processors that this process's threads may use, as the kernel says; empty where it does not say."""
    found: set[int] = set()
    for status in tasks.glob("*/status"):
        try:
            text = status.read_text(encoding="ascii", errors="replace")
        except OSError:
            continue  # a thread that ended meanwhile
        for line in text.splitlines():
            if line.startswith("Cpus_allowed_list:"):
                found |= parse_cores(line.partition(":")[2])
    return format_cores(frozenset(found))


def check(text: str) -> str:
    """What is in force; KpiError when a thread may run elsewhere than ``text`` says."""
    found, wanted = in_force(), parse_cores(text)
    if found and (outside := parse_cores(found) - wanted):
        raise KpiError(
            f"confined to processors {text}, threads may also run on {format_cores(outside)}",
            f"set threads = {len(wanted)} in the recipe's runtime, or leave out what pins its threads",
        )
    return found
