"""Cost: work is worth what the machine takes for it."""

from __future__ import annotations

import pytest

from harness.gate import Measured
from harness.pytest_plugin import Judge
from harness.spec.model import Target


@pytest.mark.cost
def test_cost(target: Target, measured: Measured, judge: Judge) -> None:
    """A million samples or tokens cost no more than promised on the machine."""
    judge(target, measured)
