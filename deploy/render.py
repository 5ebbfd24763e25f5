"""Renders the chart, with its defaults, as plain manifests: ``python deploy/render.py > deploy/job.yaml``."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

CHART = Path(__file__).resolve().parent / "chart"
RUN = "run-0"
_HEAD = """\
# The chart with its defaults, for a cluster without Helm. Made by deploy/render.py; docs/deploy.md says how to use it.
# chart: {digest}
"""


def render(values: Mapping[str, Any]) -> dict[str, str]:
    """The manifests by template, as Helm's own library renders them; raises what Helm says of wrong values."""
    import helm_python

    with helm_python.Chart.load(CHART) as chart:
        made: dict[str, str] = chart.render(dict(values), name="gate", namespace="default")
    return {Path(name).name: text.strip("\n") for name, text in made.items()}


def digest() -> str:
    """A SHA-256 over the chart's files: tells, without Helm, whether job.yaml is that of another chart."""
    total = hashlib.sha256()
    for path in sorted(p for p in CHART.rglob("*") if p.is_file()):
        content = path.read_bytes().replace(b"\r\n", b"\n")
        total.update(f"{path.relative_to(CHART).as_posix()} {hashlib.sha256(content).hexdigest()}\n".encode())
    return total.hexdigest()


def manifests() -> str:
    """The text of job.yaml: claims first, then who writes to them."""
    made = render({"run": RUN})
    return _HEAD.format(digest=digest()) + "".join(
        f"{made[name]}\n" for name in ("claims.yaml", "measure.yaml", "merge.yaml")
    )


if __name__ == "__main__":
    sys.stdout.write(manifests())
