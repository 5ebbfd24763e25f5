"""The reference kernel: fixed work, timed before and after every process to see whether the machine was disturbed."""

from __future__ import annotations

import hashlib
import time

_BLOCK = bytes(range(256)) * 4096  # 1 MiB: beyond the first-level caches
ROUNDS = 7


def run_kernel() -> tuple[float, ...]:
    """Seconds of each of a few rounds of the same arithmetic and the same copies; standard library only.

    It serves as a validity check, never as a scale factor: hashing is slowed by the core's clock and by others on the
    core, copying by others that use the memory.
    """
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        digest = hashlib.sha256(_BLOCK)
        for _ in range(4):
            digest.update(bytearray(_BLOCK))
        digest.digest()
        times.append(time.perf_counter() - start)
    return tuple(times)
