"""Latency: a request is answered in time."""

from __future__ import annotations

import pytest

from harness.gate import Measured
from harness.pytest_plugin import Judge
from harness.spec.model import Target


@pytest.mark.latency
def test_latency(target: Target, measured: Measured, judge: Judge) -> None:
    """Every fresh process answers a single request within the promised time."""
    judge(target, measured)
