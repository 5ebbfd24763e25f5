"""How figures read, the same in every report."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping

from harness.core.errors import Cause
from harness.core.text import plain, span
from harness.core.units import DIMENSIONS
from harness.evidence.model import Evidence, TargetLine
from harness.judge.verdict import OF_PROCESSES, Basis, Verdict
from harness.measure.records import Proof

ORDER = (
    Verdict.FAIL,
    Verdict.ERROR,
    Verdict.INCONCLUSIVE,
    Verdict.PASS,
    Verdict.OFF_TARGET,
    Verdict.UNAVAILABLE,
)
"""What needs a person comes first."""


def figure(target: TargetLine) -> str:
    """The judged value, empty when there is none."""
    return DIMENSIONS[target.unit].format(target.value) if target.known else ""


def interval(target: TargetLine) -> str:
    """The bounds that the verdict used; empty for exact figures."""
    low, high = target.low, target.high
    if not target.known or target.of == Basis.EXACT:
        return ""
    if target.of not in OF_PROCESSES and not (math.isfinite(low) or math.isfinite(high)):
        return ""  # scores without ends, too few that differ: nothing is known of other samples
    return span(low, high, DIMENSIONS[target.unit])


def basis(target: TargetLine) -> str:
    """What the figure rests on."""
    return "" if not target.known else "exact" if target.of == Basis.EXACT else f"{target.n} {target.of}"


def tally(verdicts: Mapping[str, int]) -> str:
    """``3 PASS, 1 FAIL``: in the order of the verdicts, those that did not occur left out."""
    counts = Counter(verdicts)
    return ", ".join(f"{counts[v.value]} {v.value}" for v in Verdict if counts[v.value])


def precision_of(proof: Proof) -> str:
    """``, fp32``: the precision that a runtime proved; empty where it could not say."""
    said = str(proof.precision).removesuffix("unknown").removesuffix("+")
    return f", {'precision ' if said.startswith('not ') else ''}{said}" if said else ""


def why(target: TargetLine) -> str:
    """The reason of a verdict, with the remedy."""
    return f"{target.reason} ({target.remedy})" if target.remedy else target.reason


def taken_over(evidence: Evidence) -> str:
    """Which measurements a resumed run took over from the one that was stopped; empty for a run from the start."""
    if not evidence.resume:
        return ""
    found = [(m, m.taken_over) for m in evidence.measurements if m.taken_over]
    parts = [
        f"{count} answers of {m.recipe}"
        for m in evidence.measurements
        for process in m.processes
        if not m.taken_over and (count := process.details.get("taken_over"))
    ]
    said = [f"{m.recipe} {m.scenario} ({earlier.processes})" for m, earlier in found]
    if not found and not parts:
        return "nothing was taken over from a stopped run: there was none within the hour that fits"
    runs = sorted({earlier.run for _, earlier in found}) or ["a stopped run"]
    return f"processes taken over from {' and '.join(runs)}: {', '.join([*said, *parts])}"


def unselected(target: TargetLine) -> bool:
    """Whether the target was left out by the user's own -k or -m."""
    return target.cause is Cause.UNSELECTED


def when(started: object) -> str:
    """``2026-11-21 16:14``: a time of the evidence, which is UTC, to the minute."""
    return plain(started)[:16].replace("T", " ")
