"""A registry of OCI artifacts on this machine: Debian's docker-registry, where it is installed."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.measure.runtimes.server_process import free_ports


@contextmanager
def registry(folder: Path) -> Iterator[str]:
    """Its address, for as long as it runs; skips the test where there is none (apt install docker-registry)."""
    program = os.environ.get("OCI_REGISTRY") or shutil.which("docker-registry")
    if program is None:
        pytest.skip("docker-registry is not installed")
    (port,) = free_ports(1)
    settings = folder / "registry.yml"
    storage = f"{{ filesystem: {{ rootdirectory: {folder / 'registry'} }} }}"
    text = f"version: 0.1\nlog: {{ level: error }}\nstorage: {storage}\nhttp: {{ addr: '127.0.0.1:{port}' }}\n"
    settings.write_text(text, encoding="utf-8")
    with (folder / "registry.log").open("w") as log:
        process = subprocess.Popen([program, "serve", str(settings)], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert time.monotonic() < deadline, (folder / "registry.log").read_text()
                time.sleep(0.1)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=30)
