"""Energy: what a sample takes, where the machine's counters can be read."""

from __future__ import annotations

import pytest

from harness.gate import Measured
from harness.pytest_plugin import Judge
from harness.spec.model import Target


@pytest.mark.energy
def test_energy(target: Target, measured: Measured, judge: Judge) -> None:
    """A sample takes no more energy than promised on the machine."""
    judge(target, measured)
