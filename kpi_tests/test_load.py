"""Load: the artifact is soon ready."""

from __future__ import annotations

import pytest

from harness.gate import Measured
from harness.pytest_plugin import Judge
from harness.spec.model import Target


@pytest.mark.load
def test_load(target: Target, measured: Measured, judge: Judge) -> None:
    """The artifact is loaded within the promised time."""
    judge(target, measured)
