"""Loads an endpoint with ApacheBench and reads its report."""

from __future__ import annotations

import csv
import math
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.core.errors import KpiError, Unavailable
from harness.measure.loadgen.dialects import Wish
from harness.measure.loadgen.endpoint import Endpoint

_VERSION = re.compile(r"ApacheBench, Version (\S+)")
_LINE = re.compile(r"^(?P<name>[A-Z][A-Za-z0-9 -]+):\s+(?P<value>[\d.]+)(?P<rest>.*)$")
_FAILED = re.compile(r"\(Connect: (\d+), Receive: (\d+), Length: (\d+), Exceptions: (\d+)\)")
_MOST_S = 1800.0
_KINDS = ("connect", "receive", "length", "exceptions")


@dataclass(frozen=True, slots=True)
class Report:
    """What ApacheBench says of a run: times in seconds, ``rate`` in requests a second.

    ``latencies`` are those of single requests, in whole milliseconds as it writes them; ``percentiles`` those of its
    table, finer. ``failed`` counts by kind.
    """

    version: str
    concurrency: int
    completed: int
    seconds: float
    rate: float
    failed: Mapping[str, int]
    latencies: tuple[float, ...]
    percentiles: Mapping[str, float]


def run(endpoint: Endpoint, prompt: str, wish: Wish, requests: int, concurrency: int) -> Report:
    """Sends the same request ``requests`` times, ``concurrency`` at once, connections kept where the server does.

    Raises Unavailable without the tool, KpiError when it gives up or its report can't be read.
    """
    program = shutil.which("ab")
    if program is None:
        raise Unavailable("ApacheBench (ab) is not here", "apt install apache2-utils")
    if endpoint.token:
        raise KpiError("ab would show the token to every user of this machine", 'use driver = "aiohttp"')
    with tempfile.TemporaryDirectory() as scratch:
        body, table, rows = (Path(scratch) / name for name in ("body.json", "percentiles.csv", "requests.tsv"))
        body.write_bytes(endpoint.body(prompt, wish))
        # -l: answers may vary in length. -r: go on after a connection that broke. It speaks HTTP/1.0, where only an
        # answer of known length leaves a connection open: of a stream some servers would never close it.
        command = [
            program, "-q", "-l", "-r", *([] if wish.stream else ["-k"]), "-n", str(requests),
            "-c", str(min(concurrency, requests)), "-s", str(math.ceil(endpoint.timeout_s)),
            "-p", str(body), "-T", "application/json", "-e", str(table), "-g", str(rows), endpoint.target(wish),
        ]  # fmt: skip
        limit = min(_MOST_S, 60 + requests / concurrency * endpoint.timeout_s)
        try:
            done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=limit, check=False)
        except subprocess.TimeoutExpired:
            raise KpiError(f"ab did not end within {limit:.0f} s", 'use driver = "aiohttp"') from None
        if done.returncode:
            said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
            why = said[0] if said else f"exit code {done.returncode}"
            raise KpiError(f"ab gave up: {why[:200]}", 'driver = "aiohttp" goes on and counts what fails')
        return parse(done.stdout, table.read_text(encoding="ascii"), rows.read_text(encoding="ascii"))


def parse(report: str, table: str = "", rows: str = "") -> Report:
    """Reads what ab prints, with the files of its options -e and -g. KpiError when a figure is missing."""
    found = {m["name"]: m["value"] for line in report.splitlines() if (m := _LINE.match(line))}
    try:
        kinds = _FAILED.search(report)
        failed = dict(zip(_KINDS, map(int, kinds.groups()), strict=True)) if kinds else {}
        if not kinds and int(found["Failed requests"]):
            failed = {"failed": int(found["Failed requests"])}
        failed["not 2xx"] = int(found.get("Non-2xx responses", 0))
        version = _VERSION.search(report)
        return Report(
            version=version[1] if version else "",
            concurrency=int(found["Concurrency Level"]),
            completed=int(found["Complete requests"]),
            seconds=float(found["Time taken for tests"]),
            rate=float(found["Requests per second"]),
            failed={kind: count for kind, count in failed.items() if count},
            latencies=tuple(float(row["ttime"]) / 1e3 for row in csv.DictReader(rows.splitlines(), delimiter="\t")),
            percentiles={share: float(ms) / 1e3 for share, ms in list(csv.reader(table.splitlines()))[1:]},
        )
    except (KeyError, ValueError) as error:
        raise KpiError(f"ab's report can't be read: {type(error).__name__} {error}", "see measure.log") from error
