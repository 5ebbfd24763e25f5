"""Puts the page together: one file that needs no network and runs no script but its own."""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.core.errors import Unavailable
from harness.core.files import write_atomically
from harness.core.text import plain
from harness.evidence.history.points import Point
from harness.evidence.model import Evidence
from harness.evidence.text import taken_over
from harness.reports.html import layers, ledger, machine, timelines, vega
from harness.reports.html.parts import Drawing
from harness.reports.html.spread import spreads
from harness.reports.html.tradeoff import tradeoffs
from harness.reports.html.trend import trends
from harness.reports.html.windows import long_processes

_ASSETS = Path(__file__).parent / "assets"


@dataclass(frozen=True, slots=True)
class WorkloadSection:
    """What the page shows of one workload."""

    name: str
    place: int
    passed: int
    judged: int
    figures: tuple[Drawing, ...]
    profiles: tuple[layers.Profile, ...]


_DRAWN = 60
"""Measurements of a workload that figures show."""


def render(evidence: Evidence, history: Sequence[Point] = ()) -> str:
    """The whole page; Unavailable without Jinja2, and without figures where the library that draws is missing."""
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    except ImportError:
        raise Unavailable("report.html was not written: Jinja2 is not installed", vega.REMEDY) from None
    loader = FileSystemLoader(_ASSETS)
    templates = Environment(autoescape=True, loader=loader, undefined=StrictUndefined, trim_blocks=True,
                            lstrip_blocks=True)  # fmt: skip
    templates.filters["spec"] = _json
    scripts = [vega.javascript()] if vega.installed() else []
    scripts = [*scripts, _asset("page.js")]
    first = 'document.documentElement.className = "js"'
    rows = ledger.rows(evidence)
    drawn, left_out = _drawn(evidence)
    return templates.get_template("page.html").render(
        head=machine.head(evidence),
        style=_asset("style.css"),
        scripts=scripts,
        first=first,
        policy=_policy([first, *scripts]),
        drawn=vega.installed(),
        remedy=vega.REMEDY,
        rows=rows[: ledger.LISTED],
        unlisted=len(rows[ledger.LISTED :]),
        left_out=left_out,
        counts=ledger.counts(rows),
        undetailed=sum(r.state != ledger.UNASKED for r in rows[ledger.DETAILED : ledger.LISTED]),
        sentence=_sentence(rows, evidence),
        resumed=plain(taken_over(evidence)),
        workloads=list(_workloads(drawn, rows)),
        unmeasured=_unmeasured(evidence),
        trend=list(trends(history)),
        over=list(timelines.over_the_run(drawn)),
        machines=machine.machines(evidence),
        libraries=machine.libraries(evidence),
        run=machine.run(evidence),
    )


def write(file: Path, evidence: Evidence, history: Sequence[Point] = ()) -> str:
    """Writes the page; returns one line that says why it was not, since a view must never cost a run its verdicts."""
    try:
        write_atomically(file, render(evidence, history))
    except Unavailable as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 - whatever is wrong with a picture, the evidence is there and is right
        return f"{file.name} was not written: {type(error).__name__}: {error} (a mistake of the report; please tell)"
    return ""


def _drawn(evidence: Evidence) -> tuple[Evidence, int]:
    """The evidence that figures are drawn of: of each workload as many measurements as a person looks at.

    Also returns how many that leaves out.
    """
    kept, seen = [], Counter[str]()
    for measurement in evidence.measurements:
        workload = measurement.recipe.partition("/")[0]
        seen[workload] += 1
        if seen[workload] <= _DRAWN:
            kept.append(measurement)
    left_out = len(evidence.measurements) - len(kept)
    if not left_out:
        return evidence, 0
    recipes = {measurement.recipe for measurement in kept}
    targets = [target for target in evidence.targets if target.recipe_key in recipes]
    return replace(evidence, measurements=kept, targets=targets), left_out


def _workloads(evidence: Evidence, rows: Sequence[ledger.Row]) -> Iterator[WorkloadSection]:
    measured = {m.recipe.partition("/")[0] for m in evidence.measurements}
    known = [name for name in dict.fromkeys(t.workload for t in evidence.targets) if name in measured]
    for place, name in enumerate([*known, *sorted(measured - set(known))]):
        own = [row for row in rows if row.workload == plain(name) and row.value]
        yield WorkloadSection(
            plain(name),
            place,
            sum(row.state == "pass" for row in own),
            len(own),
            (
                *tradeoffs(name, evidence),
                *spreads(name, evidence),
                *long_processes(name, evidence),
                *timelines.watched(name, evidence),
            ),
            tuple(layers.profiles(name, evidence)),
        )


def _unmeasured(evidence: Evidence) -> list[str]:
    measured = {m.recipe.partition("/")[0] for m in evidence.measurements}
    return [plain(n) for n in dict.fromkeys(t.workload for t in evidence.targets) if n not in measured]


def _sentence(rows: Sequence[ledger.Row], evidence: Evidence) -> str:
    """The run in one sentence."""
    asked = [row for row in rows if row.state != ledger.UNASKED]
    found = {state: sum(row.state == state for row in asked) for state in {row.state for row in asked}}
    if not asked:
        return "Nothing was asked of this run."
    passed, bad = found.get("pass", 0), found.get("fail", 0) + found.get("error", 0)
    if passed == len(asked) == len(rows):
        return f"All {passed} promised targets were proven."
    first = f"{bad} of {len(asked)} targets failed" if bad else "Nothing failed"
    rest = f"{passed} of {len(asked)} targets were proven here"
    open_ = len(asked) - passed - bad
    said = f"{first}; {rest}" + (f", {open_} prove nothing on this machine or are undecided." if open_ else ".")
    return f"{said} The run was stopped before its end." if not evidence.complete else said


def _policy(scripts: Sequence[str]) -> str:
    """What a browser may do with the page: run exactly these scripts, fetch nothing at all."""
    digests = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(s.encode()).digest()).decode()}'" for s in scripts)
    return f"default-src 'none'; style-src 'unsafe-inline'; script-src {digests}; base-uri 'none'; form-action 'none'"


def _json(spec: Mapping[str, Any]) -> Any:
    """Data for a script element: nothing in it can end the element or begin a comment."""
    from markupsafe import Markup

    text = json.dumps(spec, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704 - what HTML reads was taken out just above


def _asset(name: str) -> str:
    return (_ASSETS / name).read_text(encoding="utf-8")
