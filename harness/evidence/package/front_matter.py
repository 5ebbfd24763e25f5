"""A model card's front matter: YAML whose values are JSON, so that it is written and read back without a library."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any

from harness.core.codec import plain
from harness.evidence.model import KpiLine, TargetLine
from harness.spec.catalog import passes
from harness.spec.tasks import tasks

FENCE = "---"
VERDICTS = "kpi_verdicts"
_ITEM = "- "
_KEPT = ("id", "metric", "bound", "verdict", "value", "low", "high", "unit")
# The identifiers that the Hugging Face hub lists, of licences that models mostly have.
_LICENCES = frozenset({
    "agpl-3.0", "apache-2.0", "artistic-2.0", "bsd-2-clause", "bsd-3-clause", "cc-by-4.0", "cc-by-nc-4.0",
    "cc-by-nc-sa-4.0", "cc-by-sa-4.0", "cc0-1.0", "creativeml-openrail-m", "eupl-1.2", "gemma", "gpl-2.0", "gpl-3.0",
    "isc", "lgpl-2.1", "lgpl-3.0", "llama2", "llama3", "llama3.1", "llama3.2", "mit", "mpl-2.0", "openrail",
    "unlicense", "zlib",
})  # fmt: skip


def front_matter(
    kpi: KpiLine,
    task: str,
    made: str,
    licence: str | None,
    targets: Sequence[TargetLine],
    *,
    forced: bool,
) -> list[str]:
    """The lines between the fences and these themselves; ``made`` is the artifact's format."""
    lines = [FENCE, *_licence(licence)]
    tag = tasks()[task].hub if task in tasks() else "other"
    if tag != "other":
        lines.append(f"pipeline_tag: {tag}")
    if library := next((cls.hub for cls in passes().values() if cls.hub and cls.output_format == made), None):
        lines.append(f"library_name: {library}")
    tags = ["kpi-package", made, *(["kpi-not-proven"] if forced else [])]
    lines += [f"tags: {scalar(tags)}", "model-index:", f"- name: {scalar(kpi.name)}", "  results:"]
    lines += [f"  - task: {scalar({'type': tag if tag != 'other' else task or tag})}"]
    lines += [f"    dataset: {scalar({'type': kpi.workload, 'name': kpi.workload})}", "    metrics:"]
    for target in targets:
        if math.isfinite(target.value):
            entry = {"type": target.metric, "name": f"{target.metric} {target.bound}"}
            lines.append(f"    - {scalar({**entry, 'value': float(target.value)})}")
    if lines[-1].endswith("metrics:"):
        lines[-1] += " []"
    lines.append(f"{VERDICTS}:")
    lines += [f"{_ITEM}{scalar(stated(target))}" for target in targets]
    return [*lines, FENCE]


def read_verdicts(card: str) -> list[dict[str, Any]]:
    """The verdicts that a card's front matter states; ValueError when it has none that can be read."""
    lines = iter(card.split("\n"))
    if next(lines, "") != FENCE:
        raise ValueError("it has no front matter")
    return list(_read(lines))


def _read(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    within = seen = False
    for line in lines:
        if line == FENCE:
            break
        if within and line.startswith(_ITEM):
            entry = json.loads(line.removeprefix(_ITEM))
            if not isinstance(entry, dict):
                raise ValueError("a verdict of its front matter is not a table")
            yield entry
        else:
            within = line == f"{VERDICTS}:"
            if within and seen:
                raise ValueError(f"its front matter has {VERDICTS} twice")
            seen |= within
    if not seen:
        raise ValueError(f"its front matter has no {VERDICTS}")


def stated(target: TargetLine) -> dict[str, Any]:
    """What a card says of a target."""
    return {name: plain(getattr(target, name)) for name in _KEPT}


def scalar(value: object) -> str:
    """JSON that YAML reads as the same: printable, with a point in every number that has an exponent.

    What could be taken for an HTML tag where the front matter is shown as text is written by its number.
    """
    text = re.sub(r"<(?=[A-Za-z/!?])", r"\\u003c", json.dumps(value, ensure_ascii=False))
    text = "".join(c if c.isprintable() or ord(c) > 0xFFFF else f"\\u{ord(c):04x}" for c in text)  # noqa: PLR2004
    return "".join(part if quoted else re.sub(r"(?<![\d.])(-?\d+)e", r"\1.0e", part) for part, quoted in _parts(text))


def _parts(text: str) -> Iterator[tuple[str, bool]]:
    """What is in quotes, and what is not, in turn."""
    for part in re.split(r'("(?:[^"\\]|\\.)*")', text):
        yield part, part.startswith('"')


def _licence(licence: str | None) -> list[str]:
    if licence is None:
        return ["license: unknown"]
    if licence.lower() in _LICENCES:
        return [f"license: {licence.lower()}"]
    return ["license: other", f"license_name: {scalar(licence)}"]
