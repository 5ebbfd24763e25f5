"""How the harness's own tests are chosen: parts that cover everything; interrupts arrive however they are started."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.project import ROOT, Project
from tests.support.speeds import Part, parse_part

FILES = sorted(file.relative_to(ROOT).as_posix() for file in (ROOT / "tests").rglob("test_*.py"))


@pytest.mark.parametrize("count", [1, 2, 7])
def test_all_parts_together_are_every_file_once(count: int) -> None:
    parts = [[file for file in FILES if Part(number, count).holds(file)] for number in range(1, count + 1)]
    assert sorted(file for part in parts for file in part) == FILES
    assert all(parts)


@pytest.mark.parametrize("text", ["", "0/7", "8/7", "1/0", "-1/7", "1/7/7", "one", "1/\u0667"])
def test_a_part_that_there_is_not(text: str) -> None:
    with pytest.raises(pytest.UsageError, match="--part is K/N"):
        parse_part(text)


HOOKS = "from tests.support.speeds import *\n"
INTERRUPTED = """
import signal, subprocess, sys

def test_a_child_heeds_its_interrupt():
    child = subprocess.Popen([sys.executable, "-c", "import time; print(flush=True); time.sleep(60)"], stdout=-1)
    child.stdout.readline()
    child.send_signal(signal.SIGINT)
    assert child.wait(timeout=30) in (-signal.SIGINT, 130)
"""


def inner(folder: Path, *arguments: str, before: str = "") -> subprocess.CompletedProcess[str]:
    """Runs pytest on a folder of tests of its own, with these hooks."""
    (folder / "conftest.py").write_text(HOOKS, encoding="utf-8")
    called = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "--rootdir=.",
        "-o",
        "markers=suite",
        *arguments,
    ]
    command = ["sh", "-c", f'{before} exec "$@"', "sh", *called]
    return subprocess.run(
        command, cwd=folder, env=Project(folder, folder).variables, capture_output=True, text=True, check=False
    )


def test_parts_are_whole_files_and_said_in_the_header(tmp_path: Path) -> None:
    for name in "abcd":
        (tmp_path / f"test_{name}.py").write_text(f"def test_{name}1(): pass\ndef test_{name}2(): pass\n")
    found: list[str] = []
    for number in (1, 2):
        done = inner(tmp_path, "-v", f"--part={number}/2")
        assert f"part {number}/2 of the tests' files" in done.stdout
        found += [line.partition("::")[2].split()[0] for line in done.stdout.splitlines() if "::" in line]
    assert sorted(found) == [f"test_{name}{n}" for name in "abcd" for n in (1, 2)]
    assert [name[:-1] for name in found[::2]] == [name[:-1] for name in found[1::2]]


def test_files_of_slow_tests_come_first(tmp_path: Path) -> None:
    (tmp_path / "test_a.py").write_text("def test_quick(): pass\n")
    (tmp_path / "test_b.py").write_text(
        "import pytest\n@pytest.mark.suite\ndef test_slow(): pass\ndef test_too(): pass\n"
    )
    done = inner(tmp_path, "--collect-only", "-q")
    names = [line.partition("::")[2] for line in done.stdout.splitlines() if "::" in line]
    assert names == ["test_slow", "test_too", "test_quick"]


@pytest.mark.skipif(sys.platform == "win32", reason="shells of other systems let it be ignored")
def test_children_are_interrupted_though_the_tests_were_started_in_the_background(tmp_path: Path) -> None:
    (tmp_path / "test_child.py").write_text(INTERRUPTED, encoding="utf-8")
    done = inner(tmp_path, before="trap '' INT;")
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_is_not_marked_can_not_start_the_suite(project: Project) -> None:
    with pytest.raises(AssertionError, match=r"test_what_is_not.* starts the suite: mark it"):
        project.command()
