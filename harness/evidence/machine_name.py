"""Tells machines apart by what was detected of them: a short id, a name for people."""

from __future__ import annotations

import hashlib
import json

from harness.measure.machine.detect import Detected

_SAME = ("cpu", "cores", "os", "arch", "gpus", "npus", "instructions")


def machine_id(machine: Detected) -> str:
    """Eight hexadecimal digits, the same for the same hardware.

    Memory counts in whole gigabytes, since kernels keep some for themselves. Boot, governor and Python may change from
    run to run: they are the machine's state, not the machine. Two machines of one type are taken for one.
    """
    known = {name: getattr(machine, name) for name in _SAME} | {"memory": round(machine.memory / 1e9)}
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:8]


def machine_name(machine: Detected) -> str:
    """``AMD EPYC, 2 cores, 25 GB``, accelerators behind it."""
    parts = [machine.cpu, f"{machine.cores} cores", f"{machine.memory / 1e9:.0f} GB"]
    return ", ".join([*parts, *machine.gpus, *machine.npus])
