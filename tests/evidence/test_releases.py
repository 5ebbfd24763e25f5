"""What was proven is released, held against what ships next time, taken back; whatever does not fit moves nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from harness.core.errors import KpiError
from harness.evidence.merge import of_one_attempt
from harness.evidence.reader import read_evidence
from harness.judge.verdict import OF_PROCESSES
from harness.spec.catalog import release_place
from tests.support.packages import kpi
from tests.support.project import Project
from tests.support.releasing import (
    NEXT,
    POINTER,
    Members,
    archive,
    built,
    counter,
    edited,
    moves,
    refused,
    releasing_project,
)


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
@pytest.mark.parametrize("kept", ["size", "accuracy.top1"])
def test_a_pointer_that_moved_since_the_run_is_refused(copy: Project, kept: str) -> None:
    """Whatever is held against the release: also what was read off its files alone."""
    lines = {"size": '"size" = "<= 1.5 x released"', "accuracy.top1": '"accuracy.top1" = "drop <= 0.5 pp vs released"'}
    head, _, _ = NEXT.partition("[kpi.targets]")
    copy.toml.write_text(f"{head}[kpi.targets]\n{lines[kept]}\n", encoding="utf-8")
    assert copy.pytest().returncode == 0
    digest = moves(copy)[-1]["digest"]
    assert [t["released"] for t in copy.evidence()["targets"]] == [{"released": digest}]
    assert copy.recomputed().returncode == 0
    shutil.copytree(copy.folder / ".kpi/latest", copy.folder / "stale")
    assert copy.pytest().returncode == 0
    assert kpi(copy, "release", "digits-ships").returncode == 0
    before = moves(copy)
    assert before[-1]["artifact"] == before[0]["artifact"]
    for to in ((), ("--to", POINTER), ("--to", POINTER, "--kpis", "gone.toml")):
        done = kpi(copy, "release", "digits-ships", "--evidence", "stale", *to)
        refused(done, f"was held against another release ({digest[:12]}) than {POINTER} points to now")
    (copy.folder / POINTER).rename(copy.folder / "aside.json")
    refused(kpi(copy, "release", "digits-ships"), f"({digest[:12]}) than {POINTER} points to now: nothing")
    (copy.folder / "aside.json").rename(copy.folder / POINTER)
    assert moves(copy) == before
    assert len(list((copy.folder / "releases").iterdir())) == 3


@pytest.mark.suite
def test_a_first_release_that_came_too_late_is_refused(copy: Project) -> None:
    copy.change('machine = "any-cpu"\n', 'machine = "any-cpu"\nfirst_release = true\n')
    (copy.folder / "releases").rename(copy.folder / "aside")
    assert copy.pytest().returncode == 0
    (copy.folder / "aside").rename(copy.folder / "releases")
    refused(kpi(copy, "release", "digits-ships"), "(none, or one that the evidence does not name) than")


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
def test_what_to_release_and_where_must_be_clear(copy: Project) -> None:
    refused(kpi(copy, "release"), "name the KPI that is released")
    refused(kpi(copy, "release", "digits-shops"), 'did you mean "digits-ships"?')
    refused(kpi(copy, "release", "digits-ships", "--to", f"releases/{archive(copy).name}"), "not a pointer")
    done = kpi(copy, "release", "digits-ships", "--to", "elsewhere/digits.json")
    assert done.returncode == 0, done.stderr
    assert "the first release" in done.stdout


@pytest.mark.suite
def test_a_later_attempt_is_released_only_where_a_merge_would_be_green(copy: Project) -> None:
    before = moves(copy)
    copy.toml.write_text(NEXT, encoding="utf-8")
    assert copy.pytest("--kpi-attempt", "9").returncode == 0
    refused(kpi(copy, "release", "digits-ships"), "is attempt 9, and")
    assert moves(copy) == before
    evidence, _ = read_evidence(copy.folder / ".kpi/latest/evidence.json", None)
    line = next(target for target in evidence.targets if target.of in OF_PROCESSES)
    for earlier, said in (({"PASS": 1}, ""), ({"INCONCLUSIVE": 1}, "INCONCLUSIVE before f")):
        again = replace(line, attempt=2, earlier=earlier)
        assert said in (told := of_one_attempt("f", again, evidence))
        assert bool(told) == bool(said)
