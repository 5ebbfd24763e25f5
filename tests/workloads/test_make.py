"""How models and data were made can be asked for in the environment that the project makes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.project import ROOT

SCRIPTS = sorted(
    path for path in (ROOT / "fixtures").glob("*/make/*.py") if "__main__" in path.read_text(encoding="utf-8")
)


@pytest.mark.suite
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: f"{path.parent.parent.name}-{path.stem}")
def test_every_script_tells_how_it_is_called(script: Path) -> None:
    module = ".".join(script.relative_to(ROOT).with_suffix("").parts)
    done = subprocess.run(
        [sys.executable, "-m", module, "--help"], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-800:]
    assert "usage:" in done.stdout
