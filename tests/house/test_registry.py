"""A cluster without shared volumes: store and evidence go through a registry, here a real one on this machine."""

from __future__ import annotations

import base64
import contextlib
import importlib.util
import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.house.test_deploy import check, jobs, rendered, renderer
from tests.support.project import ROOT, Project

SCRIPT = ROOT / "deploy/registry.py"
SERVER = shutil.which("docker-registry")
pytestmark = pytest.mark.suite

__all__ = ["check", "renderer"]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    pytest.importorskip("oras", reason="pip install oras")
    description = importlib.util.spec_from_file_location("registry_script", SCRIPT)
    assert description
    assert description.loader
    module = importlib.util.module_from_spec(description)
    description.loader.exec_module(module)
    return module


LOGIN = "kpi:$2b$04$WOH8QPpp0wjU32KjHZ3wbeI5FUL0FSrL5kdAKwriRCIvuL6.RTK3."
"""The line of a registry's file for the name `kpi` and the password `open sesame`."""


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A registry that runs: its address, and where it keeps what it is given."""
    with serving(tmp_path) as found:
        yield found


@contextlib.contextmanager
def serving(tmp_path: Path, more: str = "") -> Iterator[tuple[str, Path]]:
    """The same with more lines in its settings."""
    if SERVER is None:
        pytest.skip("no registry is installed: apt-get install docker-registry")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"127.0.0.1:{port}"
    kept = tmp_path / "registry"
    config = tmp_path / "registry.yml"
    config.write_text(
        f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {kept}}}}}\nhttp: {{addr: '{address}'}}\n{more}"
    )
    log = (tmp_path / "registry.log").open("wb")
    with log, subprocess.Popen([SERVER, "serve", str(config)], stdout=log, stderr=log) as server:
        try:
            for _ in range(100):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    break
                time.sleep(0.1)
            yield address, kept
        finally:
            server.terminate()


def some_store(folder: Path) -> Path:
    (folder / "key").mkdir(parents=True)
    (folder / "key/model.onnx").write_bytes(b"a model")
    time_ns = (folder / "key/model.onnx").stat().st_mtime_ns
    (folder / "key/manifest.json").write_text(f'{{"files": {{"model.onnx": {{"mtime_ns": {time_ns}}}}}}}')
    return folder


def test_what_is_pulled_by_its_digest_is_what_was_pushed(
    script: ModuleType, registry: tuple[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    address, kept = registry
    store = some_store(tmp_path / "store")
    assert script.main(["--plain-http", "push", str(store), f"{address}/kpi/store"]) == 0
    reference = capsys.readouterr().out.strip()
    assert script.main(["--plain-http", "push", str(store), f"{address}/kpi/store:again"]) == 0
    assert capsys.readouterr().out.strip() == reference  # the same files are the same digest
    assert script.main(["--plain-http", "pull", reference, str(tmp_path / "pulled")]) == 0
    files = {path.relative_to(store): path for path in store.rglob("*") if path.is_file()}
    for name, path in files.items():
        assert (tmp_path / "pulled" / name).read_bytes() == path.read_bytes()
    model = tmp_path / "pulled/key/model.onnx"
    assert model.stat().st_mtime_ns == (store / "key/model.onnx").stat().st_mtime_ns
    for wrong, said in (
        (f"{address}/kpi/store:again", "names no digest"),
        (f"{reference[:-4]}0000", "is not there"),
        (f"{address}/kpi/none@{reference.partition('@')[2]}", "is not there"),
    ):
        assert script.main(["--plain-http", "pull", wrong, str(tmp_path / "no")]) == 3
        (line,) = capsys.readouterr().err.splitlines()
        assert said in line
    # A registry that gives out something else is not believed.
    (layer,) = (path for path in kept.rglob("data") if path.read_bytes()[:2] == b"\x1f\x8b")
    content = layer.read_bytes()
    layer.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert script.main(["--plain-http", "pull", reference, str(tmp_path / "no")]) == 3
    assert "another layer came than the one with its digest" in capsys.readouterr().err
    assert not (tmp_path / "no").exists()


def test_the_exit_code_of_what_is_run_is_kept(
    script: ModuleType, registry: tuple[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    address, _ = registry
    folder = some_store(tmp_path / "evidence")

    def run(code: int, place: Path) -> int:
        command = [sys.executable, "-c", f"raise SystemExit({code})"]
        made: int = script.main(["--plain-http", "run", str(place), f"{address}/kpi/run:r1", "--", *command])
        return made

    assert [run(code, folder) for code in (0, 1, 5)] == [0, 1, 5]
    # What could not be pushed is never green.
    assert [run(code, tmp_path / "nothing") for code in (0, 1)] == [3, 1]
    assert "is not a folder: nothing is pushed" in capsys.readouterr().err
    late = ["collect", f"{address}/kpi/run", f"r1={tmp_path}/r1", f"r2={tmp_path}/r2", "--seconds=0"]
    assert script.main(["--plain-http", *late]) == 1
    assert capsys.readouterr().err == f"not there after 0 s: {address}/kpi/run:r2\n"
    assert (tmp_path / "r1/key/model.onnx").exists()


def test_a_registry_that_wants_a_login_gets_that_of_docker(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "logins").write_text(LOGIN + "\n")
    store = some_store(tmp_path / "store")
    monkeypatch.setenv("HOME", str(tmp_path))
    with serving(tmp_path, f"auth: {{htpasswd: {{realm: kpi, path: {tmp_path}/logins}}}}\n") as (address, _):
        push = ["--plain-http", "push", str(store), f"{address}/kpi/store"]
        assert script.main(push) == 3
        assert capsys.readouterr().err.startswith(f"error: {address} wants a login; ~/.docker/config.json has none")
        login = base64.b64encode(b"kpi:open sesame").decode()
        (tmp_path / ".docker").mkdir()
        (tmp_path / ".docker/config.json").write_text(json.dumps({"auths": {address: {"auth": login}}}))
        assert script.main(push) == 0
        reference = capsys.readouterr().out.strip()
        assert script.main(["--plain-http", "pull", reference, str(tmp_path / "pulled")]) == 0
        assert (tmp_path / "pulled/key/model.onnx").read_bytes() == b"a model"


def through(address: str, store: str) -> dict[str, Any]:
    machines = {name: {"enabled": False} for name in ("gpu", "npu")}
    registry = {"repository": f"{address}/kpi/evidence", "store": store, "secret": "login", "plainHttp": True}
    return {"run": "run-0", "registry": registry, "machines": machines}


@pytest.mark.parametrize("version", ["1.26", "1.37"])
def test_with_a_registry_nothing_is_shared(check: Callable[..., str], renderer: ModuleType, version: str) -> None:
    found = rendered(renderer, through("registry:5000", f"registry:5000/kpi/store@sha256:{'0' * 64}"))
    for manifest in found:
        check(manifest, version, strict=True)
    assert {manifest["kind"] for manifest in found} == {"Job"}
    for pod in jobs(found).values():
        volumes = {volume["name"]: set(volume) - {"name"} for volume in pod["volumes"]}
        assert volumes.pop("registry") == {"secret"}
        assert set().union(*volumes.values()) == {"emptyDir"}
        for container in [*pod["containers"], *pod["initContainers"]]:
            assert {"mountPath": "/tmp/.docker", "name": "registry", "readOnly": True} in container["volumeMounts"]  # noqa: S108
    measure = jobs(found)["cpu"]
    assert measure["initContainers"][0]["resources"] == measure["containers"][0]["resources"]


def test_the_jobs_one_after_the_other_through_a_registry(
    script: ModuleType, renderer: ModuleType, registry: tuple[str, Path], project: Project, tmp_path: Path
) -> None:
    """The very commands of the pods, each with folders of its own, as pods on several nodes have."""
    address, _ = registry
    project.change('"latency.p50" = "< 50 ms"\n', "")  # what is quick to prove
    assert project.cli("build").returncode == 0
    store = script.push(project.store / "objects", f"{address}/kpi/store", plain=True)
    pods = jobs(rendered(renderer, through(address, store)))

    def play(pod: dict[str, Any], node: Path) -> list[int]:
        moved = Project(project.folder, node / "store")
        codes = []
        for container in [*pod["initContainers"], *pod["containers"]]:
            command = [*container["command"], *container["args"]]
            command = [str(SCRIPT) if word == "/app/deploy/registry.py" else word for word in command]
            command = [word.replace("/evidence/", f"{node}/evidence/").replace("=21600", "=1") for word in command]
            command = [word.replace("/store/objects", f"{node}/store/objects") for word in command]
            at = command.index("kpi") if "kpi" in command else None
            if at is not None:
                command[at : at + 1] = ["python", "-m", "harness.cli.main"]
            if "pytest" in command:
                command += ["--pyargs", "kpi_tests", "-p", "harness.pytest_plugin"]
            command = [sys.executable if word == "python" else word for word in command]
            done = subprocess.run(
                command,
                cwd=project.folder,
                env=moved.variables,
                capture_output=True,
                text=True,
                timeout=200,
                check=False,
            )
            codes.append(done.returncode)
        return codes

    assert play(pods["merge"], tmp_path / "early")[0] == 1  # the evidence is not there yet
    assert play(pods["cpu"], tmp_path / "a") == [0, 0]
    assert play(pods["merge"], tmp_path / "b") == [0, 0]
    script.pull(f"{address}/kpi/evidence:run-0-merged", tmp_path / "here", plain=True)
    assert (tmp_path / "here/summary.md").exists()
    assert (tmp_path / "here/evidence.json").exists()
