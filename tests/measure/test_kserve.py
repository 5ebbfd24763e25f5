"""Model servers that are there, late, gone, slow or wrong: real ones, over both protocols."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import psutil
import pytest
from onnx import TensorProto, helper

from harness.core.errors import KpiError, Unavailable
from harness.measure.runtimes.base import TensorSession
from harness.measure.runtimes.kserve import KServe
from harness.measure.runtimes.server_process import ServerProcess, free_ports

pytestmark = pytest.mark.suite  # each starts a server

PLACES = ("--artifact", "{artifact}", "--http-port", "{http_port}", "--grpc-port", "{grpc_port}", "--model", "{model}")
COMMAND = ("{python}", "-m", "harness.measure.servers.open_inference", *PLACES)
FEEDS = {"ids": np.array([[1, 2, 3]], np.int64)}


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that doubles three numbers."""
    folder = tmp_path_factory.mktemp("artifact")
    ids = helper.make_tensor_value_info("ids", TensorProto.INT64, ["batch", 3])
    twice = helper.make_tensor_value_info("twice", TensorProto.FLOAT, ["batch", 3])
    two = helper.make_tensor("two", TensorProto.FLOAT, [1], [2.0])
    nodes = [
        helper.make_node("Cast", ["ids"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["floats", "two"], ["twice"]),
    ]
    graph = helper.make_graph(nodes, "double", [ids], [twice], [two])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, folder / "model.onnx")
    return folder


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers are started from the tests' folder too."""
    root = str(Path(__file__).resolve().parents[2])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([root, os.environ.get("PYTHONPATH", "")]))


def load(artifact: Path, **options: Any) -> TensorSession:
    runtime = KServe(KServe.Options(**{"command": COMMAND, **options}))
    runtime.import_library()
    session = runtime.load(artifact, "cpu", 1, profile=False)
    assert isinstance(session, TensorSession)
    return session


def servers() -> list[psutil.Process]:
    """Those that a test has started, the one that runs for several tests left out."""
    started = [p for p in psutil.Process().children(recursive=True) if p.status() != psutil.STATUS_ZOMBIE]
    named = [(p, " ".join(p.cmdline())) for p in started]
    return [p for p, line in named if "double" not in line and ("faulty_server" in line or "open_inference" in line)]


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_a_server_is_started_asked_and_stopped(artifact: Path, protocol: str) -> None:
    session = load(artifact, protocol=protocol)
    try:
        assert session.run(FEEDS)["twice"].tolist() == [[2, 4, 6]]
        second = session.clone_for_thread()
        assert second.run(FEEDS)["twice"].tolist() == [[2, 4, 6]]
        second.close()
        proof = session.proof()
    finally:
        session.close()
    assert proof.runtime == f"mlserver over {protocol}"
    assert proof.details["platform"] == "openvino"
    assert proof.details["artifact"] == "given to the server"
    assert servers() == []


@pytest.fixture(scope="module")
def running(artifact: Path) -> Iterator[dict[str, int]]:
    """A server that somebody else has started."""
    http, grpc = free_ports(2)
    places = {"artifact": artifact, "http_port": http, "grpc_port": grpc, "model": "double"}
    server = ServerProcess(COMMAND, places)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not server.ended():
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", grpc)) == 0:
                break
        time.sleep(0.1)
    yield {"http": http, "grpc": grpc}
    server.stop()


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_a_server_that_runs_is_used_and_left_running(artifact: Path, running: dict[str, int], protocol: str) -> None:
    url = f"127.0.0.1:{running[protocol]}"
    for _ in range(2):
        session = load(artifact, command=(), url=url, model="double", protocol=protocol)
        assert session.run(FEEDS)["twice"].tolist() == [[2, 4, 6]]
        assert session.proof().details["artifact"] == "the operator's word"
        session.close()
    with pytest.raises(Unavailable, match="has no model 'triple' ready"):
        load(artifact, command=(), url=url, model="triple", protocol=protocol)
    session = load(artifact, command=(), url=url, model="double", protocol=protocol)
    with pytest.raises(KpiError, match="failed"):
        session.run({"ids": np.array([["a"]], object)} if protocol == "grpc" else {"else": FEEDS["ids"]})
    session.close()


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_a_server_that_is_not_there_is_unavailable(artifact: Path, protocol: str) -> None:
    (port,) = free_ports(1)
    with pytest.raises(Unavailable, match=f"no model server answers at 127.0.0.1:{port}") as caught:
        load(artifact, command=(), url=f"127.0.0.1:{port}", protocol=protocol)
    assert "\n" not in str(caught.value)


FAULTY = ("{python}", "-m", "tests.support.faulty_server", *PLACES)


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_who_accepts_a_connection_and_is_silent_is_no_server(artifact: Path, protocol: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"127.0.0.1:{silent.getsockname()[1]}"
        before = time.monotonic()
        with pytest.raises(Unavailable, match="no model server answers") as caught:
            load(artifact, command=(), url=url, protocol=protocol, timeout_s=1.0)
        assert time.monotonic() - before < 30
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("command", "error", "said"),
    [
        (("{python}", "-c", "import time; time.sleep(60)"), KpiError, "was not ready within 1.5 s"),
        (("{python}", "-c", "print('no licence'); raise SystemExit(3)"), KpiError, "exit code 3: no licence"),
        (("{python}", "-c", "import os; os.kill(os.getpid(), 9)"), KpiError, "died of SIGKILL"),
        (("no-such-server",), Unavailable, "can't be started: no-such-server"),
        (("{python}", "{port}"), KpiError, "unknown place 'port'"),
    ],
)
def test_a_server_that_does_not_come_up_ends_in_one_line(
    artifact: Path, command: tuple[str, ...], error: type[KpiError], said: str
) -> None:
    with pytest.raises(error, match=said) as caught:
        load(artifact, command=command, ready_s=1.5)
    assert "\n" not in str(caught.value)
    assert servers() == []


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("shape", "of shape (3, 1) to a batch of 1"),
        ("integers", "as int64, expected floating point"),
        ("slow", "took longer than 0.5 s"),
        ("die", "the model server ended with exit code 7"),
        ("raise", "the disk is on fire"),
    ],
)
@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_a_server_that_answers_wrongly_ends_in_one_line(
    artifact: Path, fault: str, said: str, protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAULT", fault)
    session = load(artifact, command=FAULTY, protocol=protocol, timeout_s=0.5)
    try:
        with pytest.raises(KpiError) as caught:
            session.run(FEEDS)
        assert said in caught.value.message
        assert "\n" not in caught.value.message
    finally:
        session.close()
    assert servers() == []


def test_a_server_that_will_not_stop_is_killed(artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAULT", "stubborn")
    session = load(artifact, command=FAULTY)
    (server,) = servers()
    session.close()
    assert not psutil.pid_exists(server.pid)


def test_a_server_dies_with_whoever_started_it(artifact: Path) -> None:
    code = (
        "import sys, time; from harness.measure.runtimes.kserve import KServe; from pathlib import Path\n"
        f"KServe(KServe.Options(command={COMMAND!r})).load(Path({str(artifact)!r}), 'cpu', 1, profile=False)\n"
        "print('up', flush=True); time.sleep(60)"
    )
    owner = psutil.Popen([sys.executable, "-c", code], stdout=-1)
    assert owner.stdout is not None
    assert owner.stdout.readline() == b"up\n"
    alive = [p for p in owner.children(recursive=True) if p.status() != psutil.STATUS_ZOMBIE]
    # A child of the server bears its name until it has become another program: all of them must die.
    servers = [p for p in alive if "open_inference" in " ".join(p.cmdline())]
    assert servers
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    for server in servers:
        server.wait(timeout=10)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "either url or command"),
        ({"url": "a:1", "command": ("b",)}, "either url or command"),
        ({"url": "a:1", "ready_s": 0}, "must be above 0"),
        ({"url": "http://a:1"}, 'write "host:port"'),
        ({"url": "a"}, 'write "host:port"'),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        KServe.Options(**options)
