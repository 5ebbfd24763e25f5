"""Starts endpoints for tests, each a process of its own."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.request import urlopen

from harness.measure.loadgen.dialects import DIALECTS
from harness.measure.loadgen.endpoint import Endpoint
from harness.measure.runtimes.server_process import ServerProcess, free_ports


@contextmanager
def serving(protocol: str = "openai-chat", timeout_s: float = 10.0, **options: Any) -> Iterator[Endpoint]:
    """An endpoint of :mod:`tests.support.endpoint_server` with the options of its command line."""
    (port,) = free_ports(1)
    more = [part for name, value in options.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    server = ServerProcess(["{python}", "-m", "tests.support.endpoint_server", "--port", str(port), *more], {})
    url = f"http://127.0.0.1:{port}"

    def up() -> bool:
        try:
            with urlopen(f"{url}/health", timeout=5):
                return True
        except OSError:
            return False

    try:
        server.wait(up, 60)
        yield Endpoint(url, DIALECTS[protocol], "model", timeout_s)
    finally:
        server.stop()


def seen(endpoint: Endpoint) -> dict[str, Any]:
    """What the server says it was asked."""
    time.sleep(0.05)
    with urlopen(f"{endpoint.url}/seen", timeout=10) as answer:
        found: dict[str, Any] = json.loads(answer.read())
    return found
