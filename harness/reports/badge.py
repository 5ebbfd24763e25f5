"""How many promised targets were proven, as a badge: an SVG of our own, and JSON for a service that draws one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from harness.core.files import write_atomically
from harness.evidence.model import Evidence
from harness.judge.verdict import Verdict

_LABEL = "KPIs"
_COLOURS = {"brightgreen": "#2e7d32", "red": "#b3261e", "yellow": "#8a6100"}
_GLYPH, _AIR = 6.6, 10.0


def badge(evidence: Evidence) -> dict[str, Any]:
    """The badge in the form of shields.io's endpoint: green only when everything that is promised was proven.

    Red where something failed, and where a release, or what was merged, is not green.
    """
    counts: Mapping[str, int] = evidence.verdicts
    total, proven = sum(counts.values()), counts.get(Verdict.PASS, 0)
    failed = counts.get(Verdict.FAIL, 0) + counts.get(Verdict.ERROR, 0)
    green = total > 0 and proven == total and evidence.complete and not evidence.problems
    red = failed or evidence.problems or (evidence.release and not green)
    message = f"{proven} of {total} proven" + (f", {failed} failed" if failed else "")
    message += ", not green" if red and proven == total else ""
    return {
        "schemaVersion": 1,
        "label": _LABEL,
        "message": message,
        "color": "red" if red else "brightgreen" if green else "yellow",
    }


def svg(made: Mapping[str, Any]) -> str:
    """The same as a picture that names itself to screen readers."""
    label, message = str(made["label"]), str(made["message"])
    left, right = (round(_GLYPH * len(text) + 2 * _AIR) for text in (label, message))
    name = f"{label}: {message}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="20" role="img" '
        f"aria-label={quoteattr(name)}><title>{escape(name)}</title>"
        f'<rect width="{left + right}" height="20" rx="3" fill="#444"/>'
        f'<path d="M{left} 0h{right - 3}a3 3 0 0 1 3 3v14a3 3 0 0 1-3 3h-{right - 3}z" '
        f'fill="{_COLOURS[made["color"]]}"/>'
        '<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" text-anchor="middle">'
        f'<text x="{left / 2:g}" y="14">{escape(label)}</text>'
        f'<text x="{left + right / 2:g}" y="14">{escape(message)}</text></g></svg>\n'
    )


def write_badge(evidence: Evidence, folder: Path) -> None:
    """Writes ``badge.json`` and ``badge.svg``."""
    made = badge(evidence)
    write_atomically(folder / "badge.json", json.dumps(made) + "\n")
    write_atomically(folder / "badge.svg", svg(made))
