"""Parity: the artifact behaves as its FP32 reference."""

from __future__ import annotations

import pytest

from harness.gate import Measured
from harness.pytest_plugin import Judge
from harness.spec.model import Target


@pytest.mark.parity
def test_parity(target: Target, measured: Measured, judge: Judge) -> None:
    """The artifact agrees with FP32, and stays sane on unusual inputs."""
    judge(target, measured)
