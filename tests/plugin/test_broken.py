"""The zoo: no broken model passes, each message names the fault, every healthy twin passes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.broken.judge import FAULTS, judge

# One of each way in which a fault is found; the others are found in the same ways.
FEW = (
    "nan-on-blank-frames",
    "export-shifts-the-classes",
    "label-file-shifted-by-a-row",
)


def check(names: tuple[str, ...], folder: Path, store: Path) -> None:
    judged = judge(names, folder, store)
    assert len(judged) == 2 * len(names)
    wrong = {one.name: (one.fault(), one.verdicts, one.said) for one in judged if one.fault()}
    assert not wrong


def test_there_are_forty() -> None:
    assert len(FAULTS) >= 40


@pytest.mark.suite
def test_one_of_each_kind(tmp_path: Path, shared_store: Path) -> None:
    check(FEW, tmp_path / "zoo", shared_store)


@pytest.mark.suite
@pytest.mark.long
def test_all_others(tmp_path: Path, shared_store: Path) -> None:
    check(tuple(name for name in FAULTS if name not in FEW), tmp_path / "zoo", shared_store)
