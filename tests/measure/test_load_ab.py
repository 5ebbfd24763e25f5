"""ApacheBench as a second driver: what it printed in real runs is read, and a real run agrees with our own client."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.core.errors import KpiError, Unavailable
from harness.measure.loadgen import ab
from harness.measure.loadgen.client import Client
from harness.measure.loadgen.dialects import OpenAiChat, Wish
from harness.measure.loadgen.endpoint import Endpoint
from harness.measure.loadgen.reply import Limits, summary
from harness.measure.runtimes.server_process import free_ports
from tests.support.endpoints import serving

RECORDED = Path(__file__).parents[1] / "recorded"
here = pytest.mark.skipif(shutil.which("ab") is None, reason="no ApacheBench here: apt install apache2-utils")


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    monkeypatch.chdir(request.config.rootpath)


def recorded(name: str) -> str:
    return (RECORDED / name).read_text(encoding="ascii")


def test_a_report_is_read() -> None:
    report = ab.parse(recorded("ab.txt"), recorded("ab.csv"), recorded("ab.tsv"))
    assert report.version == "2.3"
    assert report.concurrency == 3
    assert report.completed == 60
    assert report.failed == {"not 2xx": 6}
    assert report.rate == pytest.approx(report.completed / report.seconds, rel=0.01)
    assert len(report.latencies) == 60
    assert set(report.percentiles) >= {"0", "50", "90", "99"}
    assert report.percentiles["50"] == pytest.approx(sorted(report.latencies)[30], abs=0.001)


def test_kinds_of_failure_are_read() -> None:
    report = ab.parse(recorded("ab-lengths.txt"))
    assert report.failed == {"length": 6, "not 2xx": 6}
    assert report.latencies == ()
    plain = recorded("ab.txt").replace("Failed requests:        0", "Failed requests:        7")
    assert ab.parse(plain).failed == {"failed": 7, "not 2xx": 6}


@pytest.mark.parametrize("line", ["Requests per second", "Complete requests", "Time taken", "Concurrency"])
def test_a_report_without_a_figure_is_no_report(line: str) -> None:
    text = "\n".join(found for found in recorded("ab.txt").splitlines() if not found.startswith(line))
    with pytest.raises(KpiError, match="ab's report can't be read: KeyError"):
        ab.parse(text)


def test_without_the_tool_it_says_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(Unavailable) as caught:
        ab.run(Endpoint("http://127.0.0.1:1", OpenAiChat, "model", 1.0), "x", Wish(4), 10, 1)
    assert caught.value.remedy == "apt install apache2-utils"


@pytest.fixture(scope="module")
def good() -> Iterator[Endpoint]:
    with serving(service_ms=20) as endpoint:
        yield endpoint


@here
@pytest.mark.parametrize("stream", [True, False])
def test_it_asks_as_many_requests_and_none_is_faster_than_the_server(good: Endpoint, *, stream: bool) -> None:
    report = ab.run(good, "Le chat", Wish(4, stream=stream), 40, 4)
    assert report.completed == len(report.latencies) == 40
    assert report.failed == {}
    assert min(report.latencies) >= 0.02
    assert report.rate <= 4 / 0.02
    with Client(good, ["Le chat"], Wish(4, stream=stream)) as client:
        made = summary(client.closed(4, lambda sent, _: sent >= 40), Limits())
    # The two agree; how well is shown by benchmarks/load_generators.py, on a machine that is left alone.
    assert 1 / 3 < report.rate / (made["completed"] / made["elapsed_s"]) < 3


@here
def test_what_it_counts_is_taken_over() -> None:
    with serving(fault="status", every=5) as endpoint:
        assert ab.run(endpoint, "x", Wish(4), 50, 2).failed == {"not 2xx": 10}


@here
def test_it_does_not_see_connections_that_are_dropped() -> None:
    """Why serving.errors is never taken from it."""
    with serving(fault="drop", every=5) as endpoint:
        assert ab.run(endpoint, "x", Wish(4), 50, 2).failed == {}


@here
def test_it_gives_up_where_a_server_hangs_or_is_gone() -> None:
    with serving(fault="hang", every=5, timeout_s=1.0) as endpoint:
        with pytest.raises(KpiError, match=r"ab gave up: .*timeout") as caught:
            ab.run(endpoint, "x", Wish(4), 50, 2)
        assert "\n" not in str(caught.value)
        (port,) = free_ports(1)
        refused = ab.run(dataclasses.replace(endpoint, url=f"http://127.0.0.1:{port}"), "x", Wish(4), 50, 2)
        # It counts one refused connection under several kinds.
        assert sum(refused.failed.values()) >= refused.completed == 50


@here
def test_a_token_is_never_put_on_a_command_line(good: Endpoint) -> None:
    with pytest.raises(KpiError, match="would show the token"):
        ab.run(dataclasses.replace(good, token="secret"), "x", Wish(4), 10, 1)
