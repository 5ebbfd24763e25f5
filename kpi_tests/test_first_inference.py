"""First inference: the first user does not wait."""

from __future__ import annotations

import pytest

from harness.gate import Measured
from harness.pytest_plugin import Judge
from harness.spec.model import Target


@pytest.mark.first_inference
def test_first_inference(target: Target, measured: Measured, judge: Judge) -> None:
    """The first request after loading is answered within the promised time."""
    judge(target, measured)
