"""Tells machines apart by what was detected of them: a short id, a name for people."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

_SAME = ("cpu", "cores", "os", "arch", "gpus", "npus", "instructions")


def machine_id(machine: Mapping[str, Any]) -> str:
    """Eight hexadecimal digits, the same for the same hardware; ``machine`` is the evidence's own.

    Memory counts in whole gigabytes, since kernels keep some for themselves. Boot, governor and Python may change from
    run to run: they are the machine's state, not the machine. Two machines of one type are taken for one.
    """
    known = {name: machine.get(name) for name in _SAME}
    known["memory"] = round(float(machine.get("memory") or 0) / 1e9)
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:8]


def machine_name(machine: Mapping[str, Any]) -> str:
    """``AMD EPYC, 2 cores, 25 GB``, accelerators behind it."""
    parts = [str(machine.get("cpu")), f"{machine.get('cores')} cores"]
    parts.append(f"{float(machine.get('memory') or 0) / 1e9:.0f} GB")
    return ", ".join([*parts, *map(str, machine.get("gpus") or ()), *map(str, machine.get("npus") or ())])
