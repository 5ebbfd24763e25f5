"""Load: the artifact is soon ready."""

from __future__ import annotations

import pytest

from harness.gate import Finding
from harness.pytest_plugin import Judge
from harness.spec.model import Target


@pytest.mark.load
def test_load(target: Target, measured: Finding, judge: Judge) -> None:
    """The artifact is loaded within the promised time."""
    judge(target, measured)
