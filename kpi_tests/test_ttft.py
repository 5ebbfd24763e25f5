"""Time to first token: the answer begins in time."""

from __future__ import annotations

import pytest

from harness.gate import Measured
from harness.pytest_plugin import Judge
from harness.spec.model import Target


@pytest.mark.ttft
def test_ttft(target: Target, measured: Measured, judge: Judge) -> None:
    """The first token comes within the promised time."""
    judge(target, measured)
