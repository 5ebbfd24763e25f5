"""Real-time factor: speech is recognized faster than it is spoken."""

from __future__ import annotations

import pytest

from harness.gate import Measured
from harness.pytest_plugin import Judge
from harness.spec.model import Target


@pytest.mark.rtf
def test_rtf(target: Target, measured: Measured, judge: Judge) -> None:
    """A second of sound takes no longer than promised."""
    judge(target, measured)
