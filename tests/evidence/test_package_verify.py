"""A package that was touched anywhere is noticed, and one that was made to do harm does none."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import harness
from harness.build.artifact import files_digest
from harness.core.errors import KpiError
from harness.evidence.package.members import unsafe
from harness.evidence.package.verifying import verify
from harness.evidence.reader import read_evidence
from harness.evidence.seal import KEY_VARIABLE, sealed_record
from harness.judge.replay import recheck
from tests.support.edited_evidence import forge
from tests.support.packages import PROVEN, kpi
from tests.support.project import Project

pytestmark = pytest.mark.suite  # each starts from a run that proved a KPI

MODEL = "artifact/model.onnx"


@pytest.fixture
def folder(here: Project) -> Path:
    """A package as a folder."""
    assert kpi(here, "package", PROVEN, "--out", "p").returncode == 0
    return here.folder / "p"


def differences(path: Path) -> list[str]:
    return verify(path).differences


def reseal(folder: Path, change: Callable[[dict[str, Any]], None] = lambda _: None) -> None:
    """What somebody does who can edit everything and has no key: lists all files anew, seals the list."""
    file = folder / "package.json"
    data = json.loads(file.read_text(encoding="utf-8"))
    data.pop("seal")
    data["files"] = {
        path.relative_to(folder).as_posix(): {
            "size": path.stat().st_size,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path != file
    }
    data["digest"] = files_digest(data["files"])
    change(data)
    file.write_text(json.dumps(sealed_record(data, None)), encoding="utf-8")


def in_evidence(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Edits the evidence, seals it anew, and the whole package with it."""
    file = forge(folder / "evidence.json", folder / "evidence.json", change)
    seal = json.loads(file.read_text(encoding="utf-8"))["seal"]
    reseal(folder, lambda package: package["evidence"].update(seal=seal["digest"]))


def targets(data: dict[str, Any], metric: str, **fields: object) -> None:
    for target in data["targets"]:
        if target["kpi"] == PROVEN and target["metric"] == metric:
            target.update(fields)


@pytest.mark.parametrize(
    ("touch", "said"),
    [
        (lambda p: (p / MODEL).write_bytes((p / MODEL).read_bytes() + b"!"), f"{MODEL}: is longer than the"),
        (lambda p: (p / MODEL).write_bytes((p / MODEL).read_bytes()[:-1]), " bytes that are listed"),
        (lambda p: (p / MODEL).write_bytes((p / MODEL).read_bytes()[:-1] + b"!"), f"{MODEL}: was changed"),
        (lambda p: (p / MODEL).unlink(), f"{MODEL}: is missing"),
        (lambda p: (p / "evidence.json").unlink(), "evidence.json: is missing"),
        (lambda p: (p / "artifact/more.bin").write_bytes(b""), "artifact/more.bin: was added"),
        (lambda p: (p / "artifact/link").symlink_to("/etc/passwd"), "artifact/link: is a link"),
        (lambda p: os.mkfifo(p / "pipe"), "pipe: is not a plain file"),
        (lambda p: (p / "bad\nname").write_text("x"), "bad?name: has a name that no file should have"),
        (lambda p: (p / "README.md").write_text("# all is well\n"), "README.md: "),
        (lambda p: (p / "LICENCES.md").write_text("MIT"), "LICENCES.md: "),
    ],
)
def test_what_was_touched_is_named(folder: Path, touch: Callable[[Path], object], said: str) -> None:
    touch(folder)
    found = differences(folder)
    assert any(said in line for line in found), found
    assert all(len(line) < 400 for line in found)


def test_a_link_in_place_of_a_file_is_not_followed(folder: Path, tmp_path: Path) -> None:
    (folder / MODEL).rename(tmp_path / "model")
    (folder / MODEL).symlink_to(tmp_path / "model")
    assert f"{MODEL}: is a link" in differences(folder)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: targets(d, "latency.p50", value=1e-9), "p50: value is said to be 1e-09"),
        (lambda d: targets(d, "accuracy.top1", verdict="FAIL"), "top1: FAIL is said, PASS follows from the samples"),
        (lambda d: targets(d, "size", value=1.0, low=1.0, high=1.0), "size: value is said to be 1,"),
        (lambda d: targets(d, "size", bound="< 1 GB"), "size: the bound '< 1 GB' does not read as"),
        (lambda d: targets(d, "latency.p50", artifact="0" * 64), "p50: was measured of another artifact, 000000000000"),
        (lambda d: targets(d, "latency.p50", measurements=["none"]), "the measurement none is not in the evidence"),
        (lambda d: targets(d, "latency.p50", verdict="OFF_TARGET"), "OFF_TARGET on the very machine"),
        (lambda d: targets(d, "parity.agreement", high=0.9), "agreement: high is said to be 0.9"),
        (
            lambda d: [k.update(elsewhere="another cpu") for k in d["kpis"]],
            "p50: PASS on another machine than promised",
        ),
        (lambda d: d.update(complete=False), "package.json: says that the KPI is proven, the evidence something else"),
        (
            lambda d: d.pop("settings"),
            "evidence.json is not evidence of schema 2: Object missing required field `settings`",
        ),
        (lambda d: d["settings"].update(looks=[10**9]), "can't be understood: ValueError: its looks"),
        (
            lambda d: d.update(measurements=[1]),
            "is not evidence of schema 2: Expected `object`, got `int` - at `$.measurements[0]`",
        ),
        (lambda d: d.update(targets=[]), 'promises nothing for the KPI "stripes-int8"'),
    ],
)
def test_evidence_that_was_edited_and_sealed_again_contradicts_itself(
    folder: Path, change: Callable[[dict[str, Any]], None], said: str
) -> None:
    in_evidence(folder, change)
    found = differences(folder)
    assert any(said in line for line in found), found


def test_a_card_that_says_more_than_the_evidence_is_noticed(folder: Path) -> None:
    card = folder / "README.md"
    text = card.read_text(encoding="utf-8")
    card.write_text(
        text.replace('"verdict": "PASS", "value": 0.', '"verdict": "PASS", "value": 1.', 1), encoding="utf-8"
    )
    reseal(folder)
    found = differences(folder)
    assert any(line.startswith("README.md: says PASS of stripes-int8:") for line in found), found
    # Another version's card is held against its front matter alone.
    card.write_text(text.replace("## Limits", "## Other words"), encoding="utf-8")
    reseal(folder, lambda package: package.update(harness="0.0.1"))
    assert differences(folder) == []
    reseal(folder, lambda package: package.update(harness=harness.__version__))
    assert differences(folder) == ["README.md: says something else than the evidence"]


def test_an_artifact_that_was_swapped_is_noticed(folder: Path) -> None:
    (folder / MODEL).write_bytes(b"another model")
    reseal(folder)
    assert f"{MODEL}: is not the file that the artifact was measured with" in differences(folder)
    (folder / "artifact/more.bin").write_bytes(b"next to it")
    (folder / "run.sh").write_bytes(b"rm -rf /")
    reseal(folder)
    found = differences(folder)
    assert "artifact/more.bin: is not the file that the artifact was measured with" in found
    assert "run.sh: belongs to no package" in found


def test_with_a_key_only_those_who_have_it_can_seal(
    here: Project, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "secret")
    found = differences(folder)
    assert f"package.json: it was not sealed with the key in {KEY_VARIABLE}" in found
    refused = kpi(here, "package", PROVEN, "--out", "q")
    assert f"it was not sealed with the key in {KEY_VARIABLE}" in refused.stderr
    file = here.folder / ".kpi/latest/evidence.json"
    forge(file, file, key="secret")
    assert kpi(here, "package", PROVEN, "--out", "q").returncode == 0
    assert differences(here.folder / "q") == []
    reseal(here.folder / "q")
    assert differences(here.folder / "q") == [f"package.json: it was not sealed with the key in {KEY_VARIABLE}"]


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"schema": 1', "9" * 5000, "[" * 100_000, '{"schema": 2, "kind": "kpi package", "files": {}}'],
)
def test_a_manifest_that_is_none_is_one_line(folder: Path, text: str) -> None:
    (folder / "package.json").write_text(text, encoding="utf-8")
    with pytest.raises(KpiError) as raised:
        verify(folder)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 500


@pytest.mark.parametrize(
    "name", ["../x", "/x", "a/../../x", "a//b", "a\\b", "c:x", "", "x" * 300, "a/" * 100 + "b", "a\x00b"]
)
def test_names_that_lead_away_are_refused(folder: Path, name: str) -> None:
    assert unsafe(name)

    def add(package: dict[str, Any]) -> None:
        package["files"][name] = {"size": 0, "sha256": "0" * 64}

    reseal(folder, add)
    with pytest.raises(KpiError, match=r"package\.json lists"):
        verify(folder)


@pytest.mark.parametrize("path", ["nowhere", "file", "pipe", "loop"])
def test_what_is_no_package_is_one_line(here: Project, path: str) -> None:
    (here.folder / "file").write_bytes(b"neither zip nor tar")
    (here.folder / "loop").symlink_to("loop")
    os.mkfifo(here.folder / "pipe")
    done = kpi(here, "verify", path)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1


def test_every_verdict_of_the_run_follows_from_its_evidence(here: Project) -> None:
    evidence, problem = read_evidence(here.folder / ".kpi/latest/evidence.json", None)
    assert not problem
    assert {target.verdict for target in evidence.targets} == {"PASS", "FAIL", "OFF_TARGET", "UNAVAILABLE"}
    assert [said for target in evidence.targets for said in recheck(target, evidence)] == []
