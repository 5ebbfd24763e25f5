"""Size: the files to deploy fit."""

from __future__ import annotations

import pytest

from harness.gate import Measured
from harness.pytest_plugin import Judge
from harness.spec.model import Target


@pytest.mark.size
def test_size(target: Target, measured: Measured, judge: Judge) -> None:
    """All files needed to deploy are together no larger than promised."""
    judge(target, measured)
