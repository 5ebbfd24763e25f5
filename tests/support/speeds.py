"""Which of the harness's own tests run, and in which order.

- ``make quick`` leaves out what is marked ``suite`` or ``long``: seconds of work in processes of its own (the suite, a
  server, a training, the building of artifacts). Only a marked test may start the suite.
- ``make test`` leaves out what is marked ``long``: what a smaller twin, which is not left out, covers as well.
- ``make test-all`` leaves out nothing; ``--part 3/7`` keeps the third of seven parts, which CI takes in turn.
"""

from __future__ import annotations

import argparse
import hashlib
import signal
from collections import Counter
from dataclasses import dataclass

import pytest

from harness.options import part_of
from tests.support import project


@dataclass(frozen=True)
class Part:
    """The ``number``-th of ``count`` parts; a file is never divided, so that its tests share what they build."""

    number: int
    count: int

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def holds(self, file: str) -> bool:
        """Whether a file of tests, named from the root, belongs to it: the same on every machine, in every order."""
        digest = hashlib.sha256(file.encode()).digest()
        return int.from_bytes(digest[:8], "big") % self.count == self.number - 1


def parse_part(text: str) -> Part:
    """Reads ``3/7``."""
    try:
        return Part(*part_of(text))
    except argparse.ArgumentTypeError as error:
        raise pytest.UsageError(f"--part is K/N, with K from 1 to N: {error}") from None


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--part", metavar="K/N", help="of the harness's own tests, run the K-th of N parts")


def pytest_configure(config: pytest.Config) -> None:
    # A shell lets what a script starts in the background ignore Ctrl-C, and children inherit that: tests that interrupt
    # a child would wait for ever. A handler of Python's own is not inherited.
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if text := config.getoption("part"):
        parse_part(text)


def pytest_report_header(config: pytest.Config) -> str | None:
    text = config.getoption("part")
    return f"part {parse_part(text)} of the tests' files" if text else None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    files = {item: item.nodeid.partition("::")[0] for item in items}
    if text := config.getoption("part"):
        part = parse_part(text)
        left_out = [item for item in items if not part.holds(files[item])]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if part.holds(files[item])]
    # What takes longest comes first, so that two processes end at about the same time.
    slow = Counter(files[item] for item in items if item.get_closest_marker("suite"))
    items.sort(key=lambda item: (-slow[files[item]], files[item]))


def pytest_runtest_setup(item: pytest.Item) -> None:
    marked = item.get_closest_marker("suite") is not None
    project.not_marked = "" if marked else f"{item.nodeid} starts the suite: mark it with pytest.mark.suite"
