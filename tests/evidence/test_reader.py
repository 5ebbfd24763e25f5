"""Evidence that an earlier version wrote says in fields what it said in sentences."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.core.errors import Cause
from harness.evidence.history.points import answered
from harness.evidence.reader import read_evidence
from harness.evidence.seal import sealed_record
from harness.judge.verdict import Verdict
from tests.support.made_runs import Made, evidence
from tests.support.plain_evidence import as_plain


@pytest.mark.parametrize(
    ("said", "cause", "would_be"),
    [
        ({"reason": "not measured: not selected by -k or -m"}, Cause.UNSELECTED, None),
        ({"reason": "not measured: the run was interrupted first"}, Cause.UNMEASURED, None),
        ({"verdict": "UNAVAILABLE", "reason": "this machine has no cpu"}, Cause.NO_DEVICE, None),
        ({"verdict": "UNAVAILABLE", "reason": "no licence"}, None, None),
        ({"verdict": "OFF_TARGET", "value": 1.0, "reason": "4 cores; it would hold here"}, None, Verdict.PASS),
        ({"verdict": "OFF_TARGET", "value": 1.0, "reason": "4 cores; it would not hold here"}, None, Verdict.FAIL),
        ({"verdict": "OFF_TARGET", "value": 1.0, "reason": "4 cores; undecided here"}, None, Verdict.INCONCLUSIVE),
        ({"value": 1.0, "reason": "not measured often enough"}, None, None),
    ],
)
def test_what_was_a_sentence_is_a_field(
    tmp_path: Path, said: dict[str, object], cause: Cause | None, would_be: Verdict | None
) -> None:
    written = as_plain(evidence([Made("a")]))
    written |= {"schema": 1, "promises": written.pop("kpis_digest")}
    del written["seal"], written["processor_class"]
    for target in written["targets"]:
        del target["cause"], target["would_be"]
        target.update({"verdict": "INCONCLUSIVE", "value": None, **said})
    file = tmp_path / "evidence.json"
    file.write_text(json.dumps(sealed_record(written, None)), encoding="utf-8")
    read, problem = read_evidence(file, None)
    assert not problem
    assert {(target.cause, target.would_be) for target in read.targets} == {(cause, would_be)}
    assert {answered(target) for target in read.targets} == {cause not in (Cause.UNSELECTED, Cause.UNMEASURED)}
