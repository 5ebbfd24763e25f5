"""Memory: the artifact fits next to what else runs."""

from __future__ import annotations

import pytest

from harness.gate import Measured
from harness.pytest_plugin import Judge
from harness.spec.model import Target


@pytest.mark.memory
def test_memory(target: Target, measured: Measured, judge: Judge) -> None:
    """Loading and running the artifact adds no more memory than promised."""
    judge(target, measured)
