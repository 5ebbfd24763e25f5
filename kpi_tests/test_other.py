"""Every other kind: targets whose kind of metric has no file of its own here."""

from __future__ import annotations

from harness.gate import Measured
from harness.pytest_plugin import Judge
from harness.spec.model import Target


def test_other(target: Target, measured: Measured, judge: Judge) -> None:
    """The artifact keeps what was promised of it."""
    judge(target, measured)
