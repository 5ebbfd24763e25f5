"""Reads evidence from a file, whichever version of the harness wrote it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from harness.core.errors import Cause, KpiError
from harness.evidence.seal import broken
from harness.judge.verdict import Verdict


def read_evidence(path: Path, key: str | None) -> tuple[dict[str, Any], str]:
    """The evidence in a file with what is wrong with its seal; KpiError when it is not evidence at all."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise KpiError(f"{path} can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise KpiError(f"{path} is not JSON: it is not UTF-8 text") from error
    return parse_evidence(str(path), text, key)


def parse_evidence(name: str, text: str, key: str | None) -> tuple[dict[str, Any], str]:
    """The same of a text from wherever; ``name`` says where."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise KpiError(f"{name} is not JSON: {error}", "was it cut off?") from error
    wanted = ("schema", "targets", "measurements", "machine", "promises", "commit")
    if not isinstance(data, dict) or any(field not in data for field in wanted):
        raise KpiError(f"{name} is not evidence of this version", "give the evidence.json of a run")
    if data["schema"] != 1:
        raise KpiError(f"{name} is written in schema {data['schema']}, this version reads 1")
    problem = broken(data, key)
    _add_fields(data["targets"])
    return data, problem


def _add_fields(targets: Iterable[dict[str, Any]]) -> None:
    """Fills ``cause`` and ``would_be`` of evidence whose writer said them in the reason alone."""
    for target in targets:
        reason = str(target.get("reason", ""))
        if "cause" not in target:
            unmeasured = target.get("verdict") == Verdict.INCONCLUSIVE and target.get("value") is None
            target["cause"] = None
            if unmeasured and reason.startswith("not measured"):
                target["cause"] = Cause.UNSELECTED if reason.endswith("-k or -m") else Cause.UNMEASURED
            elif reason == f"this machine has no {target.get('device')}":
                target["cause"] = Cause.NO_DEVICE
        if "would_be" not in target:
            ends = {"it would hold here": Verdict.PASS, "it would not hold here": Verdict.FAIL}
            here = next((verdict for end, verdict in ends.items() if reason.endswith(end)), Verdict.INCONCLUSIVE)
            target["would_be"] = here if target.get("verdict") == Verdict.OFF_TARGET else None
