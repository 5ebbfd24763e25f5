"""What was proven is released, held against what ships next time, taken back; whatever does not fit moves nothing."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Thread
from unittest.mock import patch

import pytest

from harness.core.errors import KpiError
from harness.evidence.releases.files import Files
from harness.evidence.releases.moves import Move
from harness.spec.catalog import release_place
from tests.support.oci_registry import registry
from tests.support.packages import Done, kpi
from tests.support.project import Project
from tests.support.releasing import NEXT, counter, releasing_project

POINTER = "releases/digits.json"
Members = dict[str, bytes]


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory, shared_store: Path) -> Project:
    """A project with its first release, and the evidence of a run that held the same model against it."""
    project = releasing_project(tmp_path_factory.mktemp("releases") / "digits", shared_store)
    project.leave_alone()
    assert project.pytest().returncode == 0
    assert project.recomputed().returncode == 0
    done = kpi(project, "release", "digits-ships")
    assert "(the first release)" in done.stdout, done.stderr
    project.toml.write_text(NEXT, encoding="utf-8")
    assert project.pytest().returncode == 0
    return project


@pytest.fixture
def copy(released: Project, tmp_path: Path) -> Project:
    """The same, which a test may break."""
    shutil.copytree(released.folder, tmp_path / "digits")
    return Project(tmp_path / "digits", released.store)


def moves(project: Project) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads((project.folder / POINTER).read_text(encoding="utf-8"))["moves"]
    return found


def archive(project: Project) -> Path:
    return project.folder / "releases" / moves(project)[-1]["place"]


def edited(project: Project, edit: Callable[[Members], None]) -> None:
    """The released archive with other members, in the same order."""
    with tarfile.open(archive(project)) as tar:
        members = {one.name: tar.extractfile(one).read() for one in tar}  # type: ignore[union-attr]
    edit(members)
    with tarfile.open(archive(project), "w:gz") as tar:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))


def refused(done: Done, said: str) -> None:
    """One line, which says why."""
    assert done.returncode in (1, 4), done.stdout
    assert len(done.stderr.splitlines()) == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def built(project: Project) -> str:
    """What is said of the released recipe where it is built."""
    (line,) = [said for said in kpi(project, "build", "digits-ships").stdout.splitlines() if "/released: " in said]
    return line


@pytest.mark.suite
def test_the_ledger_says_that_there_was_nothing_to_compare_with(tmp_path: Path, shared_store: Path) -> None:
    project = releasing_project(tmp_path / "digits", shared_store)
    project.leave_alone()
    assert project.pytest("-k", "size or drop").returncode == 0
    lines = {t["id"]: t for t in project.evidence()["targets"]}
    first = lines["digits-ships:top1-drop-released"]
    assert (first["verdict"], first["cause"], first["value"]) == ("PASS", "first-release", None)
    assert "first release: nothing was released at releases/digits.json yet" in first["notes"][0]
    assert project.recomputed().returncode == 0
    project.toml.write_text(NEXT, encoding="utf-8")
    project.pytest("-k", "size")
    last = {t["id"]: t for t in project.evidence()["targets"]}["digits-ships:size-ratio-released"]
    assert (last["verdict"], last["cause"]) == ("UNAVAILABLE", "no-release")
    refused(kpi(project, "release", "digits-ships"), "is not proven")
    assert not (project.folder / "releases").exists()


@pytest.mark.suite
def test_the_next_run_is_held_against_what_was_released(released: Project) -> None:
    lines = {t["id"]: t for t in released.evidence()["targets"]}
    latency = lines["digits-ships:p50-ratio-released"]
    assert latency["of"] == "pairs of processes"
    digest = moves(released)[-1]["digest"]
    assert any(note.startswith(f"held against release {digest[:12]} of digits-ships") for note in latency["notes"])
    released_one = next(m for m in released.evidence()["measurements"] if m["recipe"] == "digits/released")
    assert released_one["artifact"] == moves(released)[-1]["artifact"]
    assert released.recomputed().returncode == 0


@pytest.mark.suite
def test_releasing_again_and_going_back_are_in_the_history(copy: Project) -> None:
    first = moves(copy)[0]["digest"]
    done = kpi(copy, "release", "digits-ships")
    assert done.returncode == 0, done.stderr
    assert f"before: release {first[:12]}" in done.stdout
    assert [move["action"] for move in moves(copy)] == ["release", "release"]
    assert moves(copy)[-1]["digest"] != first
    assert kpi(copy, "release", "digits-ships").stdout.endswith("as before\n")
    assert kpi(copy, "release", "digits-ships", "--rollback").returncode == 0
    assert (moves(copy)[-1]["action"], moves(copy)[-1]["digest"]) == ("rollback", first)
    refused(kpi(copy, "release", "digits-ships", "--rollback"), "has no release before this one")
    assert len(kpi(copy, "release", "digits-ships", "--history").stdout.splitlines()) == 3


@pytest.mark.suite
def test_a_candidate_that_is_one_point_worse_is_refused(copy: Project) -> None:
    counter(copy.folder / "candidate.onnx", wrong=0.0125)
    before = moves(copy)
    assert copy.pytest("-k", "drop").returncode == 1
    assert copy.verdicts()["digits-ships:top1-drop-released"] == "FAIL"
    refused(kpi(copy, "release", "digits-ships"), "top1-drop-released is FAIL")
    assert moves(copy) == before


@pytest.mark.suite
def test_a_candidate_that_is_five_percent_slower_is_refused(tmp_path: Path, shared_store: Path) -> None:
    project = releasing_project(tmp_path / "digits", shared_store, width=192, layers=60)
    project.leave_alone()
    project.change('"latency.p50" = "<= 20 x released"', '"latency.p50" = "<= 1.03 x released"')
    project.change('confidence = "70 %"\nlooks = [2]', 'confidence = "97 %"\nlooks = [6, 9, 12]')
    assert project.pytest().returncode == 0
    assert kpi(project, "release", "digits-ships").returncode == 0
    project.change("first_release = true\n", "")
    counter(project.folder / "candidate.onnx", width=192, layers=63)
    before = moves(project)
    project.pytest()
    assert project.verdicts()["digits-ships:p50-ratio-released"] in ("FAIL", "INCONCLUSIVE")
    refused(kpi(project, "release", "digits-ships"), "p50-ratio-released is")
    assert moves(project) == before


@pytest.mark.suite
def test_a_pointer_that_moved_since_the_run_is_refused(copy: Project) -> None:
    text = (copy.folder / POINTER).read_text(encoding="utf-8")
    (copy.folder / POINTER).write_text(re.sub(r'("artifact": ")[0-9a-f]{8}', r"\g<1>00000000", text), encoding="utf-8")
    before = moves(copy)
    refused(
        kpi(copy, "release", "digits-ships"), "was held against another release than releases/digits.json points to"
    )
    assert moves(copy) == before
    assert sorted(p.name for p in (copy.folder / "releases").iterdir()) == [archive(copy).name, "digits.json"]


@pytest.mark.suite
def test_a_pointer_that_another_job_moves_is_left_alone(copy: Project) -> None:
    (copy.folder / "releases/.digits.json.moving").touch()
    before = moves(copy)
    refused(kpi(copy, "release", "digits-ships"), "is being moved by another job")
    assert moves(copy) == before
    assert sorted(p.name for p in (copy.folder / "releases").glob("*.gz")) == [archive(copy).name]


@pytest.mark.suite
@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda m: m.update({"../evil": b"x"}), "leads out of the package"),
        (lambda m: m.update({"artifact/model.onnx": m["artifact/model.onnx"] + b"more"}), "is longer than the"),
        (lambda m: m.update({"artifact/model.onnx": m["artifact/model.onnx"][::-1]}), "was changed"),
        (lambda m: m.pop("evidence.json"), "is missing"),
        (lambda m: m.update({"added": b"x"}), "was added"),
    ],
)
def test_a_package_that_is_not_as_it_was_released_is_one_line(
    copy: Project, tmp_path: Path, edit: Callable[[Members], None], said: str
) -> None:
    edited(copy, edit)
    place = release_place(POINTER, copy.folder)
    with pytest.raises(KpiError, match=said):
        release_place(place.fixed(place.current()), copy.folder).unpacked(
            place.current().digest, tmp_path, tmp_path / "out"
        )
    before = moves(copy)
    refused(kpi(copy, "release", "digits-ships", "--rollback"), "has no release before")
    assert moves(copy) == before


@pytest.mark.suite
def test_a_package_of_another_digest_is_refused(copy: Project, tmp_path: Path) -> None:
    with pytest.raises(KpiError, match=r"has the digest [0-9a-f]{16}\.\.\., not 0{16}"):
        release_place(f"releases/{archive(copy).name}", copy.folder).unpacked("0" * 64, tmp_path, tmp_path / "out")
    copy.change('package = "', f'package_sha256 = "{"0" * 64}"\npackage = "')
    assert "pinned is 0000000000000000..." in built(copy)


@pytest.mark.suite
@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("workload.digits", "workload.figures", 'is a package of the workload "digits", not of "figures"'),
        ('task = "tabular-classification"', 'task = "text-classification"', 'of the task "tabular-classification"'),
    ],
)
def test_a_package_of_another_workload_or_task_is_one_line(copy: Project, old: str, new: str, said: str) -> None:
    copy.change(old, new)
    if "workload" in old:
        copy.change('workload = "digits"', 'workload = "figures"')
    assert said in built(copy)


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
    ("old", "new", "said"),
    [
        ("releases/digits.json", "digits.onnx", "is a model file; write model ="),
        ("releases/digits.json", "s3://bucket/digits", 'unknown kind of place "s3"'),
        ('package = "', 'passes = ["onnx-optimize"]\npackage = "', "passes: a package is taken as it was released"),
        ('package = "', 'model = "digits.onnx"\npackage = "', "model: a package is taken as it was released"),
        ("package = ", "package_sha256 = ", "must be a SHA-256: 64 digits"),
        ('package = "releases/digits.json"', f'package_sha256 = "{"0" * 64}"', "and it has none"),
    ],
)
def test_what_a_recipe_can_not_say_of_a_package_is_told_with_the_rest(
    copy: Project, old: str, new: str, said: str
) -> None:
    copy.change(old, new)
    done = kpi(copy, "list")
    assert done.returncode == 4
    assert any(said in line and "[workload.digits.recipe.released]" in line for line in done.stderr.splitlines())


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


@pytest.mark.suite
def test_what_to_release_and_where_must_be_clear(copy: Project) -> None:
    refused(kpi(copy, "release"), "name the KPI that is released")
    refused(kpi(copy, "release", "digits-shops"), 'did you mean "digits-ships"?')
    refused(kpi(copy, "release", "digits-ships", "--to", f"releases/{archive(copy).name}"), "not a pointer")
    done = kpi(copy, "release", "digits-ships", "--to", "elsewhere/digits.json")
    assert done.returncode == 0, done.stderr
    assert "the first release" in done.stdout


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


@pytest.mark.suite
def test_an_alias_of_mlflow_is_a_pointer_too(copy: Project, tmp_path: Path) -> None:
    pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy")
    copy.environment["MLFLOW_TRACKING_URI"] = f"sqlite:///{(tmp_path / 'mlflow.db').as_posix()}"
    place = "mlflow:models:/digits@champion"
    refused(kpi(copy, "release", "--to", place, "--rollback"), f"nothing was released at {place} yet")
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
    with patch.dict(os.environ, copy.environment), pytest.raises(KpiError, match="MLflow refused"):
        release_place("mlflow:models:/digits/77", copy.folder).current()
    refused(kpi(copy, "release", "--to", "mlflow:models:/digits/1", "digits-ships"), "is a package, not a pointer")


@pytest.mark.long
@pytest.mark.suite
def test_a_tag_of_a_registry_is_a_pointer_too(copy: Project, tmp_path: Path) -> None:
    pytest.importorskip("oras")
    with registry(tmp_path) as address:
        place = f"oci://{address}/models/digits:champion"
        refused(kpi(copy, "release", "--to", place, "--rollback"), "nothing was released")
        done = kpi(copy, "release", "digits-ships", "--to", place)
        assert done.returncode == 0, done.stderr
        assert "(the first release)" in done.stdout
        assert "as before" in kpi(copy, "release", "digits-ships", "--to", place).stdout
        copy.change("releases/digits.json", place)
        assert copy.pytest().returncode == 0
        latency = next(t for t in copy.evidence()["targets"] if t["metric"] == "latency.p50")
        assert any(note.startswith("held against release ") for note in latency["notes"])
        assert kpi(copy, "release", "digits-ships").returncode == 0
        assert kpi(copy, "release", "digits-ships", "--rollback").returncode == 0
        lines = kpi(copy, "release", "digits-ships", "--history").stdout.splitlines()
        assert [line.split()[1] for line in lines] == ["release", "release", "rollback"]
        assert lines[0].split()[2] == lines[2].split()[2] != lines[1].split()[2]
    refused(kpi(copy, "release", "digits-ships"), "the registry refused")
