"""Evidence that an earlier version wrote says in fields what it said in sentences."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.core.errors import Cause
from harness.evidence.history.points import answered
from harness.evidence.reader import read_evidence
from tests.support.made_runs import Made, evidence, keep


@pytest.mark.parametrize(
    ("said", "cause", "would_be"),
    [
        ({"reason": "not measured: not selected by -k or -m"}, Cause.UNSELECTED, None),
        ({"reason": "not measured: the run was interrupted first"}, Cause.UNMEASURED, None),
        ({"verdict": "UNAVAILABLE", "reason": "this machine has no cpu"}, Cause.NO_DEVICE, None),
        ({"verdict": "UNAVAILABLE", "reason": "no licence"}, None, None),
        ({"verdict": "OFF_TARGET", "value": 1.0, "reason": "4 cores; it would hold here"}, None, "PASS"),
        ({"verdict": "OFF_TARGET", "value": 1.0, "reason": "4 cores; it would not hold here"}, None, "FAIL"),
        ({"verdict": "OFF_TARGET", "value": 1.0, "reason": "4 cores; undecided here"}, None, "INCONCLUSIVE"),
        ({"value": 1.0, "reason": "not measured often enough"}, None, None),
    ],
)
def test_what_was_a_sentence_is_a_field(
    tmp_path: Path, said: dict[str, object], cause: Cause | None, would_be: str | None
) -> None:
    file = keep(tmp_path, evidence([Made("a")]))
    written = json.loads(file.read_text(encoding="utf-8"))
    for target in written["targets"]:
        del target["cause"], target["would_be"]
        target.update({"verdict": "INCONCLUSIVE", "value": None, **said})
    file.write_text(json.dumps(written), encoding="utf-8")
    read, _ = read_evidence(file, None)
    assert {(target["cause"], target["would_be"]) for target in read["targets"]} == {(cause, would_be)}
    assert {answered(target) for target in read["targets"]} == {cause not in (Cause.UNSELECTED, Cause.UNMEASURED)}
