"""Adapters: worth having, quickly switched."""

from __future__ import annotations

import pytest

from harness.gate import Measured
from harness.pytest_plugin import Judge
from harness.spec.model import Target


@pytest.mark.adapter
def test_adapter(target: Target, measured: Measured, judge: Judge) -> None:
    """The adapter adds to the task what was promised, and another takes over within the promised time."""
    judge(target, measured)
