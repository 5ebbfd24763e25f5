"""Serving: several clients at once are answered in time."""

from __future__ import annotations

import pytest

from harness.gate import Measured
from harness.pytest_plugin import Judge
from harness.spec.model import Target


@pytest.mark.serving
def test_serving(target: Target, measured: Measured, judge: Judge) -> None:
    """Requests under load are answered within the promised time, as many a second as promised."""
    judge(target, measured)
