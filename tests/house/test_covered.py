"""What is said of the lines that the tests have reached."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.project import ROOT

# Templates are compiled under their own names: they are measured as well, and are no Python.
PROGRAM = """
import pathlib, harness.{module}
folder = pathlib.Path("harness")
exec(compile("1 + 1", str(folder / "page.html"), "exec"), {{}})
"""


@pytest.mark.parametrize(("module", "code", "said"), [("whole", 0, "100.0 % of 2"), ("half", 1, "harness/half.py: 2-")])
def test_what_is_below_is_named_and_too_little_fails(tmp_path: Path, module: str, code: int, said: str) -> None:
    package = tmp_path / "harness"
    package.mkdir()
    (package / "__init__.py").write_text("")
    body = "A = 1\nB = 2\n" if module == "whole" else "def never():\n    a = 1\n    b = 2\n    return a + b\n"
    (package / f"{module}.py").write_text(body)
    (package / "page.html").write_text("<p>\u00b7</p>")
    (tmp_path / "run.py").write_text(PROGRAM.format(module=module))
    settings = '[tool.coverage.run]\nsource = ["harness"]\nparallel = true\n[tool.coverage.report]\nfail_under = 90\n'
    (tmp_path / "pyproject.toml").write_text(settings)

    def python(*arguments: str) -> subprocess.CompletedProcess[str]:
        # A measurement of its own, also where the tests themselves are measured.
        variables = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
        command = [sys.executable, *arguments]
        return subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False)

    assert python("-m", "coverage", "run", "run.py").returncode == 0
    done = python(str(ROOT / "tests/support/covered.py"))
    assert done.returncode == code, done.stdout + done.stderr
    assert said in done.stdout.replace(str(tmp_path) + "/", "")
