"""Quantization: what was promised in integers runs in integers."""

from __future__ import annotations

import pytest

from harness.gate import Measured
from harness.pytest_plugin import Judge
from harness.spec.model import Target


@pytest.mark.quantized
def test_quantized(target: Target, measured: Measured, judge: Judge) -> None:
    """The promised share of the heavy operations really runs in INT8."""
    judge(target, measured)
