"""The file of the evidence is made of the journal: whole at the end, as far as it goes after a kill, sealed."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import jsonschema
import pytest

from harness.cli.main import main
from harness.core.codec import json_schema
from harness.core.errors import KpiError
from harness.evidence.composing import composed, write_evidence
from harness.evidence.ledger import Ledger
from harness.evidence.model import Evidence, TargetResult
from harness.evidence.reader import read_evidence
from harness.judge.verdict import Verdict
from harness.measure.journal import Journal
from harness.reports.recorder import Recorder
from harness.spec.reader import read_spec
from tests.measure.test_journal import measurement
from tests.support.made_runs import Made, evidence, keep, latencies
from tests.support.project import ROOT


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    project = tmp_path / "project"
    fixture = project / "fixtures/mine/__init__.py"
    fixture.parent.mkdir(parents=True)
    fixture.write_text("", encoding="utf-8")
    (project / "kpis.toml").write_text(
        '[machine.any-cpu]\ndevice = "cpu"\n'
        '[workload.w]\ntask = "image-classification"\nfixture = "fixtures.mine"\nreference = "r"\n'
        '[workload.w.recipe.r]\nruntime = "onnxruntime"\npasses = ["onnx"]\n'
        '[[kpi]]\nname = "k"\nworkload = "w"\nrecipe = "r"\nmachine = "any-cpu"\n'
        'targets = { "size" = "< 1 MB", "latency.p50" = "< 1 s" }\n',
        encoding="utf-8",
    )
    ledger = Ledger(read_spec(project / "kpis.toml"))
    return Recorder(ledger, project / ".kpi/latest", datetime.now(UTC), release=False)


def judged(recorder: Recorder) -> None:
    """One of the two targets, with what it rests on."""
    Journal(recorder.folder).keep(measurement(2))
    key = next(target.key for target in recorder.ledger.spec.targets if target.metric_name == "size")
    recorder.record(key, TargetResult(Verdict.PASS, "", 5.0, 5.0, 5.0, n=1, of="exact", measurements=("m1",)))


def test_the_file_holds_what_the_journal_has(recorder: Recorder) -> None:
    judged(recorder)
    recorder.finish()
    found, problem = read_evidence(recorder.out / "evidence.json", None)
    assert problem == ""
    assert [(t.metric, t.verdict) for t in found.targets] == [("size", "PASS"), ("latency.p50", "INCONCLUSIVE")]
    assert found.targets[1].reason == "not measured: no test asked for it"
    assert [len(one.processes) for one in found.measurements] == [2]
    assert found.complete
    assert found.verdicts == {"INCONCLUSIVE": 1, "PASS": 1}


def test_a_run_that_was_killed_is_told_as_far_as_it_went(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    judged(recorder)  # and nothing more: no evidence.json
    project = recorder.ledger.spec.path.parent
    monkeypatch.chdir(project)
    assert main(["explain", "k:size"]) == 1
    said = capsys.readouterr().err
    assert f"the last run was stopped: --evidence {recorder.folder}" in said
    assert main(["explain", "k:size", "--evidence", str(recorder.folder)]) == 0
    assert "measured   5.00 B, exact" in capsys.readouterr().out
    found, problem = read_evidence(recorder.folder / "evidence.json", None)
    assert (problem, found.complete) == ("", False)
    assert [t.verdict for t in found.targets] == ["PASS", "INCONCLUSIVE"]
    assert found.targets[1].reason == "not measured yet"


def test_a_folder_without_a_run_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(KpiError, match="there is no run in"):
        composed(tmp_path, None)


def made_run() -> Evidence:
    return evidence([Made("a", latencies(0.001, 6, 1), 5000, [1.0, 0.0, 1.0])])


def test_a_changed_byte_breaks_the_seal(tmp_path: Path) -> None:
    file = keep(tmp_path, made_run())
    text = file.read_bytes()
    for place in range(0, text.rfind(b'"seal"'), 97):
        changed = bytearray(text)
        changed[place] ^= 1
        file.write_bytes(changed)
        try:
            _, problem = read_evidence(file, None)
        except KpiError:
            continue  # it is not evidence any more
        assert problem == "it was changed after it was sealed"


def test_nothing_can_be_added_behind_the_seal(tmp_path: Path) -> None:
    file = keep(tmp_path, made_run())
    text = file.read_bytes()
    targets = json.dumps([{**target, "verdict": "PASS"} for target in json.loads(text)["targets"]]).encode()
    for added in (b',"targets":' + targets + b"}\n", b"}\n\n", b"} \n", b',"seal":null}\n'):
        file.write_bytes(text.removesuffix(b"}\n") + added)
        try:
            _, problem = read_evidence(file, None)
        except KpiError:
            continue
        assert problem in ("it was changed after it was sealed", "it carries no seal"), added


def test_a_number_that_is_too_large_is_one_line(tmp_path: Path) -> None:
    file = keep(tmp_path, made_run())
    huge = b"9" * 400
    file.write_bytes(file.read_bytes().replace(b'"value":', b'"value":' + huge + b',"old":', 1))
    with pytest.raises(KpiError, match=r"is not a number - at `\$\.targets\[0\]\.value`"):
        read_evidence(file, None)


def test_a_run_that_goes_on_is_told_as_it_is_now(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder.active = True
    recorder.begin()  # nothing was judged yet
    monkeypatch.chdir(recorder.ledger.spec.path.parent)
    command = ["explain", "k:size", "--evidence", str(recorder.folder)]
    assert main(command) == 0
    assert read_evidence(recorder.folder / "evidence.json", None)[0].targets[0].verdict == "INCONCLUSIVE"
    judged(recorder)
    assert main(command) == 0
    assert read_evidence(recorder.folder / "evidence.json", None)[0].targets[0].verdict == "PASS"


def test_the_seal_is_checked_with_what_every_system_has(tmp_path: Path) -> None:
    file = keep(tmp_path, made_run())
    before, _, seal = file.read_bytes().rpartition(b'"seal":')
    assert json.loads(seal[:-2])["digest"] == hashlib.sha256(before).hexdigest()


def test_a_key_proves_who_sealed_it(tmp_path: Path) -> None:
    file = tmp_path / "evidence.json"
    made = write_evidence(file, made_run(), "secret")
    assert read_evidence(file, "secret") == (made, "")
    assert "KPI_SEAL_KEY" in read_evidence(file, "another")[1]


def test_evidence_fits_its_own_schema(tmp_path: Path) -> None:
    schema = json_schema(Evidence)
    json.dumps(schema, allow_nan=False)
    check = jsonschema.Draft202012Validator(schema)
    whole = json.loads(keep(tmp_path, made_run()).read_text(encoding="utf-8"))
    check.validate(whole)
    whole["targets"][0]["limit"] = "soon"
    assert not check.is_valid(whole)


def test_the_command_prints_the_schema() -> None:
    command = [sys.executable, "-m", "harness.cli.main", "schema", "--evidence"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    assert json.loads(done.stdout) == json.loads(json.dumps(json_schema(Evidence)))
