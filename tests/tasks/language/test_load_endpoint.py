"""The runtime that is an HTTP endpoint: servers that are there, late, gone, silent, or not to be had."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness.core.errors import KpiError, Unavailable
from harness.measure.loadgen.client import Client
from harness.measure.loadgen.dialects import Wish
from harness.measure.machine.system import Snapshot, adopt, listeners
from harness.measure.runtimes.server_process import free_ports
from harness.tasks.language.runtimes.endpoint import EndpointSession, HttpEndpoint
from tests.support.endpoints import serving

COMMAND = ("{python}", "-m", "tests.support.endpoint_server", "--port", "{port}")


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    monkeypatch.chdir(request.config.rootpath)


def load(**options: Any) -> EndpointSession:
    runtime = HttpEndpoint(HttpEndpoint.Options(**options))
    runtime.import_library()
    session = runtime.load(Path("/nowhere"), "cpu", 1, profile=False)
    assert isinstance(session, EndpointSession)
    return session


def servers() -> list[psutil.Process]:
    started = [p for p in psutil.Process().children(recursive=True) if p.status() != psutil.STATUS_ZOMBIE]
    return [p for p in started if "endpoint_server" in " ".join(p.cmdline())]


@pytest.mark.parametrize("protocol", ["openai-chat", "openai", "tgi", "kserve"])
def test_a_server_is_started_asked_and_stopped(protocol: str) -> None:
    session = load(command=COMMAND, protocol=protocol)
    try:
        with Client(session.endpoint, ["x"], Wish(4)) as client:
            assert client.one().tokens == 4
        proof = session.proof()
    finally:
        session.close()
    assert proof.runtime == f"HTTP endpoint, {protocol}"
    assert proof.details["artifact"] == "given to the server"
    assert proof.version == ("3.0" if protocol == "tgi" else "not said")
    assert servers() == []


def test_a_server_that_runs_is_used_and_left_running(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_TOKEN", "secret")
    with serving() as endpoint:
        # As other clients are given it, with the version at its end.
        for url in (endpoint.url, f"{endpoint.url}/", f"{endpoint.url}/v1"):
            session = load(url=url, token_variable="MY_TOKEN")
            with Client(session.endpoint, ["x"], Wish(4)) as client:
                assert client.one().error == ""
            proof = session.proof()
            session.close()
            assert proof.details["artifact"] == "the operator's word"
            assert "secret" not in json.dumps(proof.details)
        with pytest.raises(Unavailable, match="has no model 'triple', it has model"):
            load(url=endpoint.url, model="triple")
        assert len(servers()) == 1
        monkeypatch.setenv("MY_TOKEN", "wrong")
        with pytest.raises(Unavailable, match="answered HTTP 401") as caught:
            load(url=endpoint.url, token_variable="MY_TOKEN")
        assert "wrong" not in str(caught.value)
        monkeypatch.setenv("MY_TOKEN", "se\ncret")
        with pytest.raises(KpiError, match="MY_TOKEN holds no token"):
            load(url=endpoint.url, token_variable="MY_TOKEN")
        monkeypatch.delenv("MY_TOKEN")
        with pytest.raises(Unavailable, match="MY_TOKEN is not set"):
            load(url=endpoint.url, token_variable="MY_TOKEN")


def test_a_server_that_is_not_there_or_silent_is_unavailable() -> None:
    (port,) = free_ports(1)
    with pytest.raises(Unavailable, match=f"no server is ready at http://127.0.0.1:{port}") as caught:
        load(url=f"http://127.0.0.1:{port}")
    assert "\n" not in str(caught.value)
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        pytest.raises(Unavailable, match="/health did not answer"),
    ):
        load(url=f"http://127.0.0.1:{silent.getsockname()[1]}", timeout_s=0.5)
    with serving() as endpoint, pytest.raises(Unavailable, match="/else answered HTTP 404"):
        load(url=f"{endpoint.url}/nowhere", ready="/else")


@pytest.mark.parametrize(
    ("command", "error", "said"),
    [
        ((*COMMAND, "--fault", "never-ready"), KpiError, "was not ready within 1.5 s"),
        (("{python}", "-c", "print('no licence'); raise SystemExit(3)"), KpiError, "exit code 3: no licence"),
        (("no-such-server",), Unavailable, "can't be started: no-such-server"),
        (("{python}", "{http_port}"), KpiError, "unknown place 'http_port'"),
    ],
)
def test_a_server_that_does_not_come_up_ends_in_one_line(
    command: tuple[str, ...], error: type[KpiError], said: str
) -> None:
    with pytest.raises(error, match=said) as caught:
        load(command=command, ready_s=1.5)
    assert "\n" not in str(caught.value)
    assert servers() == []


def test_the_work_of_a_server_that_somebody_else_started_is_the_artifacts_own() -> None:
    """Else a server next to the client would be a disturbance, and nothing measured with it would count."""
    (port,) = free_ports(1)
    busy = (
        "import socket, sys, time; s = socket.create_server(('127.0.0.1', int(sys.argv[1]))); end = time.time() + 30\n"
        "while time.time() < end: pass"
    )
    # Its parent ends at once, so that it is not a child of this process.
    orphan = (
        "import subprocess, sys\n"
        f"command = [sys.executable, '-c', {busy!r}, {str(port)!r}]\n"
        "p = subprocess.Popen(command, stdout=-3, stderr=-3, start_new_session=True)\n"
        "print(p.pid)"
    )
    done = subprocess.run([sys.executable, "-c", orphan], stdout=subprocess.PIPE, text=True, check=True)
    server = psutil.Process(int(done.stdout))
    try:
        for _ in range(200):
            if listeners(port):
                break
            time.sleep(0.05)
        assert listeners(port) == {server.pid}
        adopt(server.pid)
        adopted = Snapshot.take()
        used = sum(server.cpu_times()[:2])
        while sum(server.cpu_times()[:2]) < used + 0.3:
            time.sleep(0.02)
        assert Snapshot.take().own - adopted.own >= 0.25
    finally:
        server.kill()
    assert Snapshot.take().own >= 0  # that it is gone does no harm


def test_without_docker_an_image_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(Unavailable, match="Docker is not here") as caught:
        load(image="some/image:1", protocol="tgi")
    assert "install Docker" in caught.value.remedy


@pytest.mark.skipif(shutil.which("docker") is None, reason="no Docker here")
def test_without_its_daemon_or_the_image_it_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Unavailable, match=r"the image example\.invalid/none:1 is not here|daemon does not answer"):
        load(image="example.invalid/none:1", protocol="tgi")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{os.getcwd()}/no.sock")
    with pytest.raises(Unavailable, match="daemon does not answer") as caught:
        load(image="example.invalid/none:1", protocol="tgi")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "give one of url, command and image"),
        ({"url": "http://a:1", "command": ("b",)}, "give one of url, command and image"),
        ({"url": "http://me:secret@a:1"}, 'write url as "http://host:port"'),
        ({"url": "http://a:1/?key=secret"}, 'write url as "http://host:port"'),
        ({"url": "a:1"}, 'write url as "http://host:port"'),
        ({"url": "http://a:1", "arguments": ("x",)}, "arguments are those of an image"),
        ({"url": "http://a:1", "ready": "health"}, 'such as "/health"'),
        ({"url": "http://a:1", "timeout_s": 0}, "must be above 0"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        HttpEndpoint.Options(**options)
