"""Places of releases: files, links, MLflow, a registry; what was lost, what others moved, what is none of ours."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from harness.core.errors import KpiError
from harness.evidence.releases.files import Files
from harness.evidence.releases.moves import Move
from harness.spec.catalog import release_place
from tests.support.oci_registry import registry
from tests.support.packages import kpi
from tests.support.project import Project
from tests.support.releasing import (
    POINTER,
    archive,
    built,
    moves,
    refused,
)


@pytest.mark.suite
def test_a_package_that_is_gone_is_noticed_though_its_artifact_is_in_the_store(copy: Project) -> None:
    archive(copy).rename(copy.folder / "aside.tar.gz")
    assert "which releases/digits.json points to, is not there any more" in built(copy)
    copy.change('machine = "any-cpu"\n', 'machine = "any-cpu"\nfirst_release = true\n')
    assert copy.pytest("-k", "size").returncode == 1
    assert copy.verdicts()["digits-ships:size-ratio-released"] == "ERROR"


@pytest.mark.suite
def test_what_is_as_before_must_be_there(copy: Project) -> None:
    to = ("--to", "elsewhere/digits.json")
    assert kpi(copy, "release", "digits-ships", *to).returncode == 0
    assert kpi(copy, "release", "digits-ships", *to).stdout.endswith("as before\n")
    (package,) = (copy.folder / "elsewhere").glob("*.tar.gz")
    package.unlink()
    refused(kpi(copy, "release", "digits-ships", *to), f"{package.name} is not there")


@pytest.mark.suite
@pytest.mark.parametrize("named", [(), ("--kpis", "gone.toml")])
def test_a_place_of_another_workload_or_task_is_refused(copy: Project, named: tuple[str, ...]) -> None:
    to, elsewhere = "elsewhere/digits.json", copy.folder / "elsewhere/digits.json"
    evidence = ("--evidence", str(copy.folder / ".kpi/latest"))
    assert kpi(copy, "release", "digits-ships", "--to", to).returncode == 0
    before = elsewhere.read_bytes()
    copy.change("workload.digits", "workload.figures")
    copy.change('workload = "digits"', 'workload = "figures"')
    copy.change("digits-ships", "figures-ship")
    head, _, _ = copy.toml.read_text(encoding="utf-8").partition("[kpi.targets]")
    copy.toml.write_text(f'{head}[kpi.targets]\n"size" = "< 1 MB"\n', encoding="utf-8")
    assert copy.pytest().returncode == 0
    done = kpi(copy, "release", "figures-ship", "--to", to, *evidence, *named)
    refused(done, 'elsewhere/digits.json points to a package of the workload "digits", figures-ship is of "figures"')
    assert elsewhere.read_bytes() == before


@pytest.mark.suite
def test_a_place_that_is_no_plain_file_is_one_line(copy: Project) -> None:
    os.mkfifo(copy.folder / "pipe.json")
    (copy.folder / "loop.json").symlink_to("loop.json")
    for to, said in (("pipe.json", "pipe.json is not a plain file"), ("loop.json", "loop.json can't be read")):
        for more in ((), ("--rollback",), ("--history",)):
            refused(kpi(copy, "release", "digits-ships", "--to", to, *more), said)


@pytest.mark.suite
def test_a_link_to_a_pointer_is_that_pointer(copy: Project) -> None:
    (copy.folder / "link.json").symlink_to(POINTER)
    assert kpi(copy, "release", "digits-ships", "--to", "link.json").returncode == 0
    assert (copy.folder / "link.json").is_symlink()
    assert len(moves(copy)) == 2
    assert kpi(copy, "release", "--to", "link.json", "--rollback").returncode == 0
    assert len(moves(copy)) == 3


@pytest.mark.suite
def test_a_kpi_that_the_place_does_not_know_is_named(copy: Project) -> None:
    before = moves(copy)
    for more in ("--rollback", "--history"):
        done = kpi(copy, "release", "digits-shops", "--to", POINTER, more)
        refused(done, 'unknown KPI "digits-shops"; did you mean "digits-ships"?')
    assert moves(copy) == before


@pytest.mark.suite
def test_a_pointer_that_another_job_moves_is_left_alone(copy: Project) -> None:
    (copy.folder / "releases/.digits.json.moving").touch()
    before = moves(copy)
    refused(kpi(copy, "release", "digits-ships"), "is being moved by another job")
    assert moves(copy) == before
    assert sorted(p.name for p in (copy.folder / "releases").glob("*.gz")) == [archive(copy).name]


@pytest.mark.suite
@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("releases/gone.json", "nothing was released at releases/gone.json yet"),
        ("releases/gone.zip", "the package releases/gone.zip is not here"),
        ("kpis.toml", "can't be read"),
        ("releases", "it has no package.json"),
        ("oci://registry", "names no tag of a repository"),
        ("mlflow:digits", "names no model of a registry"),
    ],
)
def test_what_is_no_package_of_ours_is_one_line(copy: Project, reference: str, said: str) -> None:
    with pytest.raises(KpiError, match=said) as raised:
        release_place(reference, copy.folder).current()
    assert "\n" not in str(raised.value)


@pytest.mark.suite
@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is not a history of releases"),
        ("{", "is not a history of releases"),
        ("[" * 100_000, "is not a history of releases"),
        ('{"kind": "kpi releases", "schema": 2, "moves": []}', "is written in another schema"),
        ('{"kind": "kpi releases", "schema": 1, "moves": [{}]}', "is not a history of releases"),
        ('{"kind": "kpi releases", "schema": 1, "moves": []}', "is not a history of releases"),
    ],
)
def test_a_pointer_that_can_not_be_read_is_one_line(copy: Project, content: str, said: str) -> None:
    (copy.folder / POINTER).write_text(content, encoding="utf-8")
    refused(kpi(copy, "release", "digits-ships"), said)
    assert (copy.folder / POINTER).read_text(encoding="utf-8") == content


@pytest.mark.suite
def test_a_pointer_can_not_lead_out_of_its_folder(copy: Project, tmp_path: Path) -> None:
    shutil.copy(archive(copy), tmp_path / "outside.tar.gz")
    text = (copy.folder / POINTER).read_text(encoding="utf-8").replace(archive(copy).name, "../../outside.tar.gz")
    (copy.folder / POINTER).write_text(text, encoding="utf-8")
    assert "leads out of the package" in built(copy)


def test_of_many_jobs_that_move_a_pointer_at_once_one_does(tmp_path: Path) -> None:
    digests = [f"{number:064x}" for number in range(8)]
    told: list[str] = []
    (tmp_path / "releases").mkdir()
    (tmp_path / "releases/p.zip").touch()

    def job(digest: str) -> None:
        place = release_place("releases/digits.json", tmp_path)
        try:
            place.move(None, Move("release", "2026-01-01", digest, "p.zip", "digits", "a", "e", "c"))
            told.append(digest)
        except KpiError as error:
            told.append(str(error))

    jobs = [Thread(target=job, args=(digest,)) for digest in digests]
    for each in jobs:
        each.start()
    for each in jobs:
        each.join()
    (moved,) = [said for said in told if said in digests]
    assert release_place("releases/digits.json", tmp_path).current().digest == moved
    assert all("moved meanwhile" in said or "by another job" in said for said in told if said != moved)


def test_what_another_job_released_meanwhile_is_not_taken_away(tmp_path: Path) -> None:
    """Two jobs bring the same package; the one that was overtaken removes only what no move names."""
    move = Move("release", "2026-01-01", "a" * 64, "p.zip", "digits", "a", "e", "c")
    first, second = (release_place("digits.json", tmp_path) for _ in range(2))
    assert isinstance(first, Files)
    package = tmp_path / "p.zip"
    package.touch()
    first._brought.add(package)
    second.move(None, move)
    with pytest.raises(KpiError, match="moved meanwhile"):
        first.move(None, move)
    first.forget(move)
    assert package.exists()
    package.unlink()
    with pytest.raises(KpiError, match="removed meanwhile"):
        second.move(move, replace(move, digest="b" * 64))
    assert second.current() == move


def released_and_taken_back(copy: Project, place: str) -> None:
    """A place that is elsewhere points to nothing, to a first release, to another one, and to the first again."""
    refused(kpi(copy, "release", "--to", place, "--rollback"), "nothing was released")
    done = kpi(copy, "release", "digits-ships", "--to", place)
    assert done.returncode == 0, done.stderr
    assert "(the first release)" in done.stdout
    assert "as before" in kpi(copy, "release", "digits-ships", "--to", place).stdout
    refused(kpi(copy, "release", "--to", place, "--rollback"), "has no release before this one")
    # Another release, of other evidence: the pointer moves, and goes back.
    copy.change("releases/digits.json", place)
    assert copy.pytest().returncode == 0
    latency = next(t for t in copy.evidence()["targets"] if t["metric"] == "latency.p50")
    assert any(note.startswith("held against release ") for note in latency["notes"])
    assert kpi(copy, "release", "digits-ships").returncode == 0
    assert kpi(copy, "release", "digits-ships", "--rollback").returncode == 0
    lines = kpi(copy, "release", "digits-ships", "--history").stdout.splitlines()
    assert [line.split()[1] for line in lines] == ["release", "release", "rollback"]
    assert lines[0].split()[2] == lines[2].split()[2] != lines[1].split()[2]


@pytest.mark.suite
def test_an_alias_of_mlflow_is_a_pointer_too(copy: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy")
    copy.environment["MLFLOW_TRACKING_URI"] = f"sqlite:///{(tmp_path / 'mlflow.db').as_posix()}"
    place = "mlflow:models:/digits@champion"
    refused(kpi(copy, "release", "--to", place, "--rollback"), f"nothing was released at {place} yet")
    released_and_taken_back(copy, place)
    for name, value in copy.environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(KpiError, match="MLflow refused"):
        release_place("mlflow:models:/digits/77", copy.folder).current()
    refused(kpi(copy, "release", "--to", "mlflow:models:/digits/1", "digits-ships"), "is a package, not a pointer")


@pytest.mark.long
@pytest.mark.suite
def test_a_tag_of_a_registry_is_a_pointer_too(copy: Project, tmp_path: Path) -> None:
    pytest.importorskip("oras")
    with registry(tmp_path) as address:
        released_and_taken_back(copy, f"oci://{address}/models/digits:champion")
    refused(kpi(copy, "release", "digits-ships"), "the registry refused")


ODD: dict[str, object] = {
    "no object": [],
    "nothing": {},
    "null": {"annotations": None, "layers": None},
    "lists": {"annotations": ["kpi.release"], "layers": [["size"]]},
    "text": {"annotations": "kpi.release", "layers": "layers"},
    "numbers": {"annotations": {"kpi.release": 1, "kpi.moves": 1}, "layers": [{"size": "many", "digest": 7}]},
    "a digest that leads away": {"layers": [{"size": 1, "digest": "sha256:../../x"}]},
    "a negative size": {"layers": [{"size": -1, "digest": f"sha256:{'0' * 64}"}]},
}


@pytest.mark.parametrize("case", ODD)
def test_a_manifest_of_any_shape_is_one_line(case: str, tmp_path: Path) -> None:
    pytest.importorskip("oras")
    with answering(json.dumps(ODD[case]).encode()) as address:
        place = release_place(f"oci://{address}/models/digits:champion", tmp_path)
        move = Move("release", "2026-01-01", "a" * 64, "p", "digits", "a", "e", "c")
        for call in (place.current, lambda: place.is_there(move), lambda: place.package("a" * 64, tmp_path)):
            with pytest.raises(KpiError) as raised:
                call()
            assert "\n" not in str(raised.value)
        with suppress(KpiError):  # where nothing is said of moves, there are none
            assert place.moves() == []


@contextmanager
def answering(body: bytes) -> Iterator[str]:
    """A registry that gives one answer to everything; its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"localhost:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
