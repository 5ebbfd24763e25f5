"""Which earlier run proves a KPI that the latest did not measure: what a run of a part leaves is not the whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from harness.core.errors import KpiError
from harness.evidence.history.database import History
from harness.evidence.history.points import answered
from harness.evidence.package.contents import proof_gap
from harness.evidence.reader import read_evidence

_MOST = 10
"""How many runs are read: their evidence may be megabytes each."""


def earlier_run(kpi: str, latest: Path, history: History) -> str:
    """What to name in place of the latest run, where that did not measure some of the KPI's targets; else empty.

    Where a target was measured and missed, an earlier run does not help, and none is named.
    """
    evidence, _ = read_evidence(latest, None)
    targets = [target for target in evidence.targets if target.kpi == kpi]
    if not any(not answered(t) for t in targets) or any(answered(t) and t.verdict != "PASS" for t in targets):
        return ""
    try:
        proven = next(_proving(kpi, history), None)
    except KpiError:
        return f"run all targets of {kpi}: `pytest -k {kpi}`"  # the history can't be read: it names no run
    if proven is None:
        return f"run all targets of {kpi}: `pytest -k {kpi}`; no earlier run in {_near(history.path)} proves it"
    started, file = proven
    return f"an earlier run proves it ({started}): name it with --evidence {_near(file)}"


def _proving(kpi: str, history: History) -> Iterator[tuple[str, Path]]:
    """The runs whose evidence proves the KPI: when they started, where they lie; the newest first."""
    asked = {point.run for point in history.trend(kpi)}
    runs = [run for run in reversed(history.runs()) if run.id in asked and run.complete and run.evidence.exists()]
    for run in runs[:_MOST]:
        evidence, wrong = read_evidence(run.evidence, None)
        if not wrong and not proof_gap(kpi, evidence):
            yield run.started[:16].replace("T", " "), run.evidence


def _near(path: Path) -> str:
    whole, here = path.resolve(), Path.cwd()
    return str(whole.relative_to(here) if whole.is_relative_to(here) else whole)
