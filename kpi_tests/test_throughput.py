"""Throughput: enough samples are served every second."""

from __future__ import annotations

import pytest

from harness.gate import Measured
from harness.pytest_plugin import Judge
from harness.spec.model import Target


@pytest.mark.throughput
def test_throughput(target: Target, measured: Measured, judge: Judge) -> None:
    """The artifact serves at least the promised samples per second."""
    judge(target, measured)
