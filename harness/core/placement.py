"""Where a recipe's processes run: on which processors, next to which memory, how many at once."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.core.cores import format_cores, parse_cores
from harness.core.errors import Unavailable

_NODES = Path("/sys/devices/system/node")


@dataclass(frozen=True, slots=True)
class Placement:
    """``cores`` are lists such as "0-3", one for each of the ``instances`` or one that they share out evenly.

    ``numa_node`` is where their memory is, and their processors unless ``cores`` says otherwise. Nothing set: wherever
    the system puts one process. ValueError when it does not fit together.
    """

    cores: tuple[str, ...] = ()
    numa_node: int | None = None
    instances: int = 1

    def __post_init__(self) -> None:
        count = [len(parse_cores(text)) for text in self.cores]
        if len(count) > 1 and len(count) != self.instances:
            raise ValueError(f"cores names {len(count)} lists for {self.instances} instances")
        if len(count) == 1 and count[0] % self.instances:
            raise ValueError(f"{count[0]} processors can't be shared evenly by {self.instances} instances")

    def of(self, instance: int) -> Placement:
        """What one of the instances gets, counted from 0."""
        if not self.cores or self.instances == 1:
            return Placement(self.cores, self.numa_node)
        if len(self.cores) == self.instances:
            return Placement((self.cores[instance],), self.numa_node)
        shared = sorted(parse_cores(self.cores[0]))
        size = len(shared) // self.instances
        own = frozenset(shared[instance * size : (instance + 1) * size])
        return Placement((format_cores(own),), self.numa_node)

    @property
    def alone(self) -> Placement:
        """The same for a single process, on all the processors: for what is not timed."""
        cores = frozenset().union(*map(parse_cores, self.cores))
        return Placement((format_cores(cores),) if cores else (), self.numa_node)

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary, empty when nothing is set."""
        return {} if self == Placement() else {**asdict(self), "cores": list(self.cores)}


def node_cores(node: int, nodes: Path = _NODES) -> str:
    """The processors next to a memory node, as the kernel lists them; Unavailable when there is no such node."""
    try:
        return (nodes / f"node{node}" / "cpulist").read_text(encoding="ascii").strip()
    except OSError:
        here = sorted(int(p.name[4:]) for p in nodes.glob("node[0-9]*"))
        known = f"it has {', '.join(map(str, here))}" if here else "the system names none"
        raise Unavailable(
            f"this machine has no NUMA node {node}; {known}", "change `numa_node`, or run on a machine that has it"
        ) from None


def memory_binding(node: int) -> tuple[str, ...]:
    """What to put before a command so that its memory comes from ``node`` alone: numactl, where it is and works.

    Empty elsewhere: a process that is confined to a node's processors mostly gets that node's memory (first touch).
    """
    tool = shutil.which("numactl")
    if tool is None:
        return ()
    command = (tool, f"--membind={node}", "--")
    tried = subprocess.run([*command, "true"], capture_output=True, timeout=10, check=False)
    return command if tried.returncode == 0 else ()


def memory_policy(maps: Path = Path("/proc/self/numa_maps")) -> str:
    """Where the kernel says that this process's memory comes from, such as "bind:0"; empty where it does not say."""
    try:
        lines = maps.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return ""
    found = {line.split()[1] for line in lines if len(line.split()) > 1}
    bound = sorted(policy for policy in found if re.match(r"(bind|interleave|prefer)", policy))
    return " ".join(bound) or ("default" if found else "")
