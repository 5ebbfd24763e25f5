"""Time per output token: the answer flows."""

from __future__ import annotations

import pytest

from harness.gate import Measured
from harness.pytest_plugin import Judge
from harness.spec.model import Target


@pytest.mark.tpot
def test_tpot(target: Target, measured: Measured, judge: Judge) -> None:
    """Every further token comes within the promised time."""
    judge(target, measured)
