"""One measurement at a time on a device, over all runs of all users of this machine."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

_NOTICE_S = 1.0


@contextmanager
def device_lock(device: str, progress: Callable[[str], None]) -> Iterator[None]:
    """Waits for its turn on the device; says so when it has to wait."""
    # The edge device's processor is a processor like any other.
    name = "cpu" if device == "edge" else device
    lock = FileLock(Path(tempfile.gettempdir()) / f"kpi-device-{name}.lock", mode=0o666)
    start = time.monotonic()
    try:
        lock.acquire(timeout=_NOTICE_S)
    except Timeout:
        while not lock.is_locked:
            progress(f"waiting for the {name}: another measurement runs ({time.monotonic() - start:.0f} s)")
            try:
                lock.acquire(timeout=5)
            except Timeout:
                continue
    try:
        yield
    finally:
        lock.release()
