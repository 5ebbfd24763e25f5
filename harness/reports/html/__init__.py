"""``report.html``: the run as one page for people who would rather look than read."""

from __future__ import annotations

from harness.reports.html.page import render, write

__all__ = ["render", "write"]
