"""Makes the pictures of the README from the evidence of a real run: the page in a browser, the table on a terminal.

``python docs/pictures.py .kpi/latest/evidence.json --workload food11`` needs Chromium, Playwright and Pillow.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from harness.evidence.model import Evidence
from harness.evidence.reader import read_evidence
from harness.reports.html import render
from harness.reports.terminal import render as table

if TYPE_CHECKING:
    from playwright.sync_api import Page

WIDTH, HEIGHT = 1280, 860
MOST_BYTES = 300_000
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


def of_workload(evidence: Evidence, workload: str) -> Evidence:
    """The part of the run that is about one workload: what the picture of a terminal has room for."""
    return replace(
        evidence,
        targets=[t for t in evidence.targets if t.workload == workload],
        measurements=[m for m in evidence.measurements if m.recipe.startswith(f"{workload}/")],
    )


def terminal(evidence: Evidence, file: Path) -> None:
    """The report at the end of a run, as SVG; the fonts are the reader's own, so that nothing is fetched."""
    console = Console(record=True, width=100, file=io.StringIO())
    console.print(Text.from_ansi(table(evidence, 100, colour=True)), end="")
    picture = console.export_svg(title="pytest")
    picture = re.sub(r"@font-face \{.*?\}", "", picture, flags=re.DOTALL)
    file.write_text(picture.replace("Fira Code", "ui-monospace"), encoding="utf-8")


def report(evidence: Evidence, folder: Path, workload: str) -> None:
    """The head of the page, and the figures of a workload (of the first, when none is named), in both themes."""
    from playwright.sync_api import sync_playwright

    program = next((found for name in CHROMIUM if (found := shutil.which(name))), None)
    if program is None:
        sys.exit("no Chromium here: apt install chromium")
    root = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as running:
        file = Path(scratch) / "report.html"
        file.write_text(render(evidence), encoding="utf-8")
        browser = running.chromium.launch(executable_path=program, args=root)
        for theme in ("light", "dark"):
            context = browser.new_context(
                viewport={"width": WIDTH, "height": HEIGHT}, device_scale_factor=1.5, color_scheme=theme
            )
            page = context.new_page()
            page.goto(file.as_uri())
            keep(page, folder / f"report-{theme}.webp")
            page.evaluate("dispatchEvent(new Event('beforeprint'))")
            page.wait_for_function("[...document.querySelectorAll('.chart')].every((c) => c.dataset.drawn)")
            page.evaluate(
                "(name) => [...document.querySelectorAll('.workload')].find((w) => !name || w.dataset.name === name)"
                ".scrollIntoView({ behavior: 'instant' })",
                workload,
            )
            keep(page, folder / f"figures-{theme}.webp")
            context.close()
        browser.close()


def keep(page: Page, file: Path) -> None:
    """What the window shows, as good as fits the size that a README should not exceed."""
    from PIL import Image

    picture = Image.open(io.BytesIO(page.screenshot()))
    for quality in (90, 80, 70, 55, 40):
        picture.save(file, quality=quality, method=6)
        if file.stat().st_size <= MOST_BYTES:
            break
    print(f"{file}: {file.stat().st_size / 1000:.0f} kB")


def main() -> None:
    """Reads the arguments, makes the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("evidence", type=Path, help="of a real run")
    parser.add_argument("--workload", help="whose figures are shown, and whose part of the terminal's table")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "pictures")
    chosen = parser.parse_args()
    evidence, _ = read_evidence(chosen.evidence, None)
    shown = of_workload(evidence, chosen.workload) if chosen.workload else evidence
    if not shown.measurements:
        sys.exit(f"{chosen.evidence} measured nothing of {chosen.workload or 'any workload'}")
    chosen.out.mkdir(parents=True, exist_ok=True)
    terminal(shown, chosen.out / "terminal.svg")
    report(evidence, chosen.out, chosen.workload or "")


if __name__ == "__main__":
    main()
