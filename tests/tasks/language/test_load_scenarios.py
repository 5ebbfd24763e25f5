"""Load and the search for the largest one, played against servers of known service time, good and bad."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.errors import KpiError
from harness.judge.metrics import metrics
from harness.judge.metrics.base import ProcessMetric
from harness.measure.loadgen.search import largest
from harness.measure.records import ProcessRecord, Proof
from harness.measure.scenarios.base import Scenario, ScenarioContext
from harness.tasks.language.runtimes.endpoint import EndpointSession, HttpEndpoint
from harness.tasks.language.scenarios.capacity import Capacity
from harness.tasks.language.scenarios.load import Load

pytestmark = pytest.mark.suite  # each starts a server

SERVICE_MS = 10
COMMAND = ("{python}", "-m", "tests.support.endpoint_server", "--port", "{port}")


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    monkeypatch.chdir(request.config.rootpath)


@contextmanager
def unwatched() -> Iterator[None]:
    yield


@contextmanager
def session(*more: str, timeout_s: float = 5.0) -> Iterator[EndpointSession]:
    made = HttpEndpoint(HttpEndpoint.Options(command=(*COMMAND, *more), timeout_s=timeout_s))
    loaded = made.load(Path("/nowhere"), "cpu", 1, profile=False)
    assert isinstance(loaded, EndpointSession)
    try:
        yield loaded
    finally:
        loaded.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    lines = [json.dumps({"prompt": f"le chat numéro {n} dort", "reference": "x"}) for n in range(12)]
    (tmp_path / "prompts.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return tmp_path


def play(
    scenario: type[Scenario[Any]], loaded: EndpointSession, folder: Path, seconds: float = 0.2, **options: Any
) -> ProcessRecord:
    """What the worker would keep, the first request asked as it does."""
    stage = ScenarioContext(
        inputs={}, requests=folder, seconds=seconds, samples=20, workload=lambda: pytest.fail("no data set is needed"),
        outputs=folder, progress=print, watch=unwatched,
    )  # fmt: skip
    made = scenario(scenario.Options(**options))
    made.first_request(stage)(loaded)
    seen = made.run(loaded, stage)
    json.dumps(seen, allow_nan=False)
    proof = Proof(runtime="test", version="1", device="CPU", precision="f32")
    return ProcessRecord(
        started="", wall_s=1, load_s=0, first_inference_s=0, memory_before=0, memory_peak=0, proof=proof, **seen
    )


def of(name: str, record: ProcessRecord) -> float:
    metric = metrics()[name]
    assert issubclass(metric, ProcessMetric)
    return metric.of(record)


def test_every_figure_of_a_closed_loop(folder: Path) -> None:
    with session("--service-ms", str(SERVICE_MS)) as loaded:
        record = play(Load, loaded, folder, concurrency=4, requests=60, tokens=4, exactly=True, limit_s=0.5)
    assert record.completed == 60
    assert record.details["prompts"] == 12
    throughput = of("serving.throughput", record)
    assert 0 < throughput <= 4 / (SERVICE_MS / 1e3)
    assert of("serving.tokens", record) == pytest.approx(4 * throughput)
    assert of("serving.goodput", record) == pytest.approx(throughput * sum(s <= 0.5 for s in record.samples_s) / 60)
    assert of("serving.errors", record) == 0
    half = SERVICE_MS / 2e3
    assert half <= of("serving.ttft.p50", record) <= of("serving.latency.p50", record)
    assert 0 < 3 * of("serving.tpot.p50", record) <= of("serving.latency.p99", record)
    assert of("serving.tpot.p99", record) >= of("serving.tpot.p50", record)
    assert of("serving.ttft.p99", record) >= of("serving.ttft.p50", record)
    ttft = metrics()["serving.ttft.p99"]
    assert issubclass(ttft, ProcessMetric)
    with pytest.raises(KpiError, match="needs 299 samples of a process, not 60"):
        ttft.bounds(record, 0.95)


def test_a_time_of_the_answer_alone_needs_answers(folder: Path) -> None:
    thoughts = ("--thoughts", "4", "--thought-ms", "10", "--channel", "reasoning")
    with session(*thoughts) as loaded:
        record = play(Load, loaded, folder, requests=40, tokens=8, exactly=True)
    assert of("serving.ttft_content.p50", record) - of("serving.ttft.p50", record) > 0.02
    # One in four stops while it thinks: the percentile of the others would be too good.
    with session(*thoughts, "--fault", "thoughts", "--every", "4") as loaded:
        record = play(Load, loaded, folder, requests=40, tokens=8)
    assert of("serving.ttft.p50", record) > 0
    with pytest.raises(KpiError, match="10 of 40 answers under load ended in their thoughts") as caught:
        of("serving.ttft_content.p50", record)
    assert caught.value.remedy == "raise load.tokens"


def test_prompts_and_answers_have_the_lengths_asked_for(folder: Path) -> None:
    with session() as loaded:
        record = play(Load, loaded, folder, requests=20, words=50, tokens=4, stream=False)
        from tests.support.endpoints import seen

        body = seen(loaded.endpoint)["bodies"][-1]
    assert len(body["messages"][0]["content"].split()) == 50
    assert body["max_tokens"] == 4
    assert "ignore_eos" not in body
    for name, series in (("serving.ttft.p50", "ttft_s"), ("serving.ttft_content.p50", "ttft_content_s")):
        with pytest.raises(KpiError, match=f"have no {series}") as caught:
            of(name, record)
        assert caught.value.remedy == "set load.stream = true"
    assert of("serving.tokens", record) == pytest.approx(4 * of("serving.throughput", record))


@pytest.mark.parametrize("words", [pytest.param(None, marks=pytest.mark.long), 50])
def test_a_cache_of_prefixes_answers_no_request_unless_it_may(folder: Path, words: int | None) -> None:
    with session("--prompt-ms", "40") as loaded:
        from tests.support.endpoints import seen

        record = play(Load, loaded, folder, requests=40, words=words, tokens=4)
        assert record.details["repeat_prompts"] is False
        assert min(record.series["ttft_s"]) >= 0.04
        searched = play(Capacity, loaded, folder, words=words, tokens=4, start=20.0, budget_s=1.0, precision=0.5)
        assert searched.details["repeat_prompts"] is False
        assert seen(loaded.endpoint)["from_cache"] == 0
        record = play(Load, loaded, folder, requests=40, words=words, tokens=4, repeat_prompts=True)
        assert record.details["repeat_prompts"] is True
        assert of("serving.ttft.p50", record) < 0.04
        assert seen(loaded.endpoint)["from_cache"] > 20


def test_what_a_protocol_can_not_do_is_said_before_anything_is_timed(folder: Path) -> None:
    made = HttpEndpoint(HttpEndpoint.Options(command=COMMAND, protocol="tgi"))
    loaded = made.load(Path("/nowhere"), "cpu", 1, profile=False)
    assert isinstance(loaded, EndpointSession)
    try:
        with pytest.raises(KpiError, match="the protocol tgi can't ignore the end token"):
            play(Load, loaded, folder, exactly=True)
        assert play(Load, loaded, folder, requests=10).completed == 10
    finally:
        loaded.close()


def test_at_a_rate_every_request_is_sent_whatever_the_server_does(folder: Path) -> None:
    # Every fifth is dropped: what the others show is their own.
    with session("--service-ms", "5", "--fault", "drop", "--every", "5", "--after", "10") as loaded:
        record = play(Load, loaded, folder, rate=100.0, requests=80, tokens=4)
    assert record.completed + record.details["failed"] == record.details["sent"] == 80
    assert record.details["errors"] == {"dropped": 16}
    assert of("serving.errors", record) == pytest.approx(0.2)
    assert record.details["rate"] == 100.0


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("status", "does not answer: HTTP 500: .*out of memory"),
        ("hang", "does not answer: time-out: after 0.5 s"),
        ("garbage", "does not answer: not understood"),
        ("die", "the model server died of SIGKILL: the disk is on fire"),
    ],
)
def test_a_server_that_answers_nothing_ends_in_one_line(folder: Path, fault: str, said: str) -> None:
    with session("--fault", fault, timeout_s=0.5) as loaded, pytest.raises(KpiError, match=said) as caught:
        play(Load, loaded, folder, requests=5)
    assert "\n" not in str(caught.value)


def test_a_server_that_dies_under_way_is_told_apart_from_one_that_fails(folder: Path) -> None:
    with (
        session("--fault", "die", "--every", "40") as loaded,
        pytest.raises(KpiError, match="the model server died of SIGKILL"),
    ):
        play(Load, loaded, folder, requests=60)


@pytest.mark.skipif(shutil.which("ab") is None, reason="no ApacheBench here: apt install apache2-utils")
def test_apachebench_drives_the_same_scenario(folder: Path) -> None:
    with session("--service-ms", str(SERVICE_MS)) as loaded:
        record = play(
            Load, loaded, folder, driver="ab", repeat_prompts=True, concurrency=4, requests=60, tokens=4, limit_s=0.5
        )
    assert record.completed == len(record.samples_s) == 60
    assert of("serving.throughput", record) == pytest.approx(record.details["ab"]["rate"], rel=0.05)
    assert of("serving.goodput", record) <= of("serving.throughput", record)
    assert of("serving.latency.p50", record) >= SERVICE_MS / 1e3
    for name in ("serving.errors", "serving.tokens", "serving.ttft.p50"):
        with pytest.raises(KpiError) as caught:
            of(name, record)
        assert caught.value.remedy == 'use driver = "aiohttp"'


def test_the_capacity_of_a_server_is_found(folder: Path) -> None:
    with session("--service-ms", "20", "--at-once", "1") as loaded:
        record = play(Capacity, loaded, folder, limit_s=0.15, start=20.0, tokens=4, precision=0.3, percentile=90.0)
    found = of("serving.capacity", record)
    # One in 20 ms is all it can do; half of that leaves the queue short, unless this machine is very busy.
    assert 5 <= found <= 1 / 0.02
    tries = record.details["tries"]
    assert all(t["borne"] for t in tries if t["rate"] <= found)
    assert not any(t["borne"] for t in tries if t["rate"] > found)
    assert record.completed == len(record.samples_s) >= 50


def test_a_server_that_drops_requests_has_no_capacity(folder: Path) -> None:
    with session("--fault", "drop", "--every", "20", "--after", "15") as loaded:
        record = play(Capacity, loaded, folder, limit_s=0.05, start=200.0, tokens=4, budget_s=3.0)
    assert of("serving.capacity", record) == 0
    assert {t["failed"] > 0 for t in record.details["tries"]} == {True}
    assert record.details["remarks"]


@given(st.floats(0.01, 1e4), st.floats(0.1, 100), st.floats(0.02, 0.5))
def test_the_search_comes_as_near_as_it_says(limit: float, start: float, precision: float) -> None:
    found = largest(lambda rate: rate <= limit, start, precision=precision, most=60)
    assert found.stopped == ""
    assert found.best <= limit <= found.best * (1 + precision)
    assert len(found.tried) < 40


def test_the_search_ends_where_nothing_or_everything_is_borne() -> None:
    assert largest(lambda _: False, 4.0, most=7).best == 0
    endless = largest(lambda _: True, 4.0, most=7)
    assert endless.best == 4 * 2**6
    assert endless.stopped == "after 7 tries"


@pytest.mark.parametrize(
    ("scenario", "options", "said"),
    [
        (Load, {"concurrency": 0}, "concurrency must be at least 1"),
        (Load, {"rate": 0.0}, "must be above 0"),
        (Load, {"driver": "ab", "rate": 5.0}, "ab knows no rate"),
        (Load, {"driver": "ab"}, "ab sends one prompt again and again: set repeat_prompts = true"),
        (Load, {"ttft_limit_s": -1.0}, "must be above 0"),
        (Capacity, {"percentile": 0.0}, "between 0 and 100"),
        (Capacity, {"precision": 2.0}, "between 0.01 and 1"),
        (Capacity, {"limit_s": 0.0}, "must be above 0"),
    ],
)
def test_options_that_make_no_sense_are_refused(scenario: type[Load], options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        scenario.Options(**options)
