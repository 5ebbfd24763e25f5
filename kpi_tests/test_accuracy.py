"""Accuracy: the artifact is right often enough."""

from __future__ import annotations

import pytest

from harness.gate import Measured
from harness.pytest_plugin import Judge
from harness.spec.model import Target


@pytest.mark.accuracy
def test_accuracy(target: Target, measured: Measured, judge: Judge) -> None:
    """The artifact is as accurate on the evaluation set as promised."""
    judge(target, measured)
