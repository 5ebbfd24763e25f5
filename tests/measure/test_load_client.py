"""Load over real connections to servers that answer, in four protocols, and to servers that misbehave."""

from __future__ import annotations

import dataclasses
import math
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.measure.loadgen.client import Client, poisson
from harness.measure.loadgen.dialects import DIALECTS, Wish
from harness.measure.loadgen.endpoint import Endpoint
from harness.measure.loadgen.reply import Limits, Reply, summary
from harness.measure.loadgen.stream import Events
from harness.measure.runtimes.server_process import free_ports
from tests.support.endpoints import seen, serving

SERVICE_S = 0.01


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Servers are started from the tests' folder."""
    monkeypatch.chdir(request.config.rootpath)


@pytest.fixture(scope="module")
def good() -> Iterator[Endpoint]:
    """A server that takes 20 ms for each answer, half of it before the first token."""
    with serving(service_ms=20) as endpoint:
        yield endpoint


@pytest.mark.parametrize("channel", ["reasoning", "reasoning_content", "reasoning_details"])
def test_thoughts_are_tokens_and_the_answer_has_a_time_of_its_own(channel: str) -> None:
    with (
        serving(thoughts=10, thought_ms=20, channel=channel) as endpoint,
        Client(endpoint, ["x"], Wish(14, exactly=True)) as client,
    ):
        reply = client.one()
    assert reply.error == "", reply
    assert reply.tokens == 14
    assert reply.ttft is not None
    assert reply.ttft_content is not None
    # Read from the wire, events may come together; ten waits of 20 ms lie between the first and the answer.
    assert reply.ttft_content - reply.ttft >= 0.18


def test_an_answer_that_ends_within_its_thoughts_has_a_first_token() -> None:
    with (
        serving(thoughts=3, fault="thoughts", channel="reasoning") as endpoint,
        Client(endpoint, ["x"], Wish(3)) as client,
    ):
        reply = client.one()
    assert reply.error == "", reply
    assert reply.tokens == 3
    assert reply.ttft is not None
    assert reply.ttft_content is None


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("protocol", DIALECTS)
def test_every_protocol_is_spoken(good: Endpoint, protocol: str, *, stream: bool) -> None:
    endpoint = dataclasses.replace(good, dialect=DIALECTS[protocol])
    with Client(endpoint, ["Le chat dort."], Wish(4, stream=stream)) as client:
        reply = client.one()
    assert reply.error == "", reply
    assert reply.latency >= 0.02
    assert reply.tokens == (None if protocol == "kserve" and not stream else 4)
    asked = seen(good)["bodies"][-1]
    assert "Le chat dort." in str(asked)
    assert str(4) in str(asked)
    if stream:
        assert reply.ttft is not None
        assert reply.tpot is not None
        assert 0.01 <= reply.ttft <= reply.latency
        # What lies between the first token and the last one is shared by the three others; how much depends on when
        # this process was woken for the first.
        assert 0 < 3 * reply.tpot <= reply.latency - reply.ttft
    else:
        assert reply.ttft is None
        assert reply.tpot is None


def test_a_token_goes_into_the_header_alone(good: Endpoint) -> None:
    endpoint = dataclasses.replace(good, token="secret")
    with Client(endpoint, ["x"], Wish(4)) as client:
        assert client.one().error == ""
    assert seen(good)["authorization"] == ["Bearer secret"]
    assert "secret" not in repr(endpoint)
    assert "secret" not in str(seen(good)["bodies"])


FAULTS = {
    "drop": ("dropped", ""),
    "hang": ("time-out", "after 0.7 s"),
    "status": ("HTTP 500", "out of memory"),
    "html": ("not understood", "without its last event"),
    "cut": ("cut off", ""),
    "unfinished": ("cut off", "without its last event"),
    "garbage": ("not understood", "{not json"),
    "shape": ("not understood", "choices"),
    "failed": ("failed", "no memory left"),
    "empty": ("empty", "without a token"),
    "short": ("wrong length", "3 tokens, asked for exactly 4"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_every_tenth_request_fails_and_exactly_these_are_counted(fault: str) -> None:
    kind, said = FAULTS[fault]
    with (
        serving(fault=fault, every=10, timeout_s=0.7) as endpoint,
        Client(endpoint, ["x"], Wish(4, exactly=True)) as client,
    ):
        replies = client.closed(3, lambda sent, _: sent >= 60)
        posts = seen(endpoint)["posts"]
    assert posts == len(replies) == 60
    made = summary(replies, Limits(0.5))
    assert made["details"]["errors"] == {kind: 6}, made["details"]
    assert said in made["details"]["said"][kind]
    assert "\n" not in made["details"]["said"][kind]
    assert made["completed"] == len(made["samples_s"]) == 54
    assert made["details"]["failed"] == 6
    assert made["details"]["in_time"] == sum(latency <= 0.5 for latency in made["samples_s"])


@pytest.mark.parametrize("fault", ["drop", "status", "shape"])
def test_answers_that_are_no_streams_fail_as_well(fault: str) -> None:
    with serving(fault=fault, every=5) as endpoint, Client(endpoint, ["x"], Wish(4, stream=False)) as client:
        replies = client.closed(2, lambda sent, _: sent >= 20)
    assert sum(bool(reply.error) for reply in replies) == 4


def test_an_open_loop_counts_what_fails_and_waits_for_none() -> None:
    with serving(fault="hang", every=10, timeout_s=1.0) as endpoint, Client(endpoint, ["x"], Wish(4)) as client:
        before = time.monotonic()
        replies = client.opened([i / 100 for i in range(50)])
        assert time.monotonic() - before < 30
    assert [reply.error for reply in replies if reply.error] == ["time-out"] * 5
    assert len(replies) == 50


def test_who_answers_nothing_any_more_is_not_asked_for_ever() -> None:
    with serving(fault="hang", after=5, timeout_s=0.3) as endpoint, Client(endpoint, ["x"], Wish(4)) as client:
        replies = client.closed(2, lambda sent, _: sent >= 100_000)
        assert 5 < len(replies) < 40
        assert {reply.error for reply in replies[-2:]} == {"time-out"}


def test_a_server_that_is_gone_refuses_and_nothing_hangs() -> None:
    (port,) = free_ports(1)
    endpoint = Endpoint(f"http://127.0.0.1:{port}", DIALECTS["openai"], "model", 5.0)
    with Client(endpoint, ["x"], Wish(4)) as client:
        assert {reply.error for reply in client.closed(2, lambda sent, _: sent >= 10)} == {"refused"}
        assert {reply.error for reply in client.opened([0.0, 0.01])} == {"refused"}


def test_who_speaks_no_http_is_not_understood() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def greet() -> None:
            connection, _ = listening.accept()
            connection.recv(1000)
            connection.sendall(b"220 mail.example.org ESMTP\r\n\r\n")
            connection.close()

        threading.Thread(target=greet, daemon=True).start()
        endpoint = Endpoint(f"http://127.0.0.1:{listening.getsockname()[1]}", DIALECTS["tgi"], "model", 5.0)
        with Client(endpoint, ["x"], Wish(4)) as client:
            assert client.one().error == "not understood"


def under_way(replies: list[Reply]) -> float:
    """How many requests were under way on average, by Little's law, however slow this machine is just now."""
    made = summary(replies, Limits())
    return float(sum(made["samples_s"]) / made["elapsed_s"])


def test_twice_the_capacity_shows_the_queue_that_a_closed_loop_hides() -> None:
    with serving(service_ms=1000 * SERVICE_S, at_once=1) as endpoint, Client(endpoint, ["x"], Wish(4)) as client:
        closed = client.closed(4, lambda sent, _: sent >= 80)
        # It can't do more than one in a service's time: this is twice as much at least.
        opened = client.opened(poisson(2 / SERVICE_S, 120))
    assert len(closed) / summary(closed, Limits())["elapsed_s"] <= 1 / SERVICE_S
    assert under_way(closed) == pytest.approx(4, rel=0.15)
    # After 60 services' time 120 requests have come, half of which wait.
    assert under_way(opened) > 20
    assert not [reply for reply in [*closed, *opened] if reply.error]
    # Each was sent when it was due, though none before it may have been answered.
    waited = sorted(reply.latency for reply in opened)
    assert waited[-1] > 0.3 * 120 * SERVICE_S
    assert max(reply.sent for reply in opened) < max(reply.end for reply in opened) - 0.3 * 120 * SERVICE_S


def test_a_fifth_of_the_capacity_keeps_the_queue_short() -> None:
    with serving(service_ms=1000 * SERVICE_S, at_once=1) as endpoint, Client(endpoint, ["x"], Wish(4)) as client:
        assert under_way(client.opened(poisson(0.2 / SERVICE_S, 30))) < 3


def test_the_times_are_random_and_always_the_same() -> None:
    times = poisson(50.0, 2000)
    assert times == poisson(50.0, 2000)
    assert times == sorted(times)
    gaps = [b - a for a, b in zip([0.0, *times], times, strict=False)]
    assert sum(gaps) / len(gaps) == pytest.approx(0.02, rel=0.1)
    # Of an exponential distribution 1/e are longer than the mean.
    assert sum(gap > 0.02 for gap in gaps) / len(gaps) == pytest.approx(math.exp(-1), abs=0.05)


def test_what_is_late_by_the_client_is_said() -> None:
    late = [Reply(i, i + (0.002 if i < 2 else 0.0), i + 0.5, tokens=4) for i in range(100)]
    made = summary(late, Limits(0.4))
    assert made["details"]["sent_late"] == 2
    assert "2 of 100 requests left over 1 ms late" in made["details"]["remarks"][0]
    assert made["details"]["in_time"] == 0
    assert summary(late[2:], Limits(0.5))["details"] | {"said": 0} == {
        "sent": 98, "failed": 0, "errors": {}, "said": 0, "in_time": 98, "sent_late": 0, "remarks": [],
    }  # fmt: skip


def test_limits_of_first_tokens_count_too() -> None:
    reply = Reply(0.0, 0.0, 1.0, first=0.2, last=1.0, tokens=5)
    assert reply.ttft == 0.2
    assert reply.tpot == pytest.approx(0.2)
    assert Limits(1.0, 0.2, 0.21).kept(reply)
    assert not Limits(1.0, 0.1).kept(reply)
    assert not Limits(tpot=0.1).kept(reply)
    assert not Limits(ttft=1.0).kept(dataclasses.replace(reply, first=None))
    assert not Limits().kept(dataclasses.replace(reply, error="dropped"))


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r\n")), max_size=5), st.integers(1, 7))
def test_events_are_the_same_however_the_bytes_are_cut(texts: list[str], size: int) -> None:
    stripped = [text.encode().strip() for text in texts]
    wire = b"".join(b": c\nid: 1\ndata: " + text + b"\r\n\n" for text in stripped)
    events = Events()
    pieces = [wire[i : i + size] for i in range(0, len(wire), size)]
    assert [data for piece in pieces for data in events.feed(piece)] == stripped
