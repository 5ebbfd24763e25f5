"""The options that the gate adds to pytest's command line."""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from harness.reports.annotations import FORMS

if TYPE_CHECKING:
    import pytest


_VALUED = ("--kpis", "--kpi-out", "--kpi-prompts")
_SETTINGS = ("pytest.toml", ".pytest.toml", "pytest.ini", ".pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg")


@dataclass(frozen=True, slots=True)
class Options:
    """The command line, read once; ``formats`` is the folder of the history."""

    kpis: Path
    named: bool
    out: Path
    runs: Path
    annotations: str
    release: bool
    install: bool
    only: frozenset[str]
    part: tuple[int, int] | None
    prompts: Path | None
    resume: bool
    attempt: int
    decided: bool
    collect_only: bool
    reach: tuple[str, ...] = ()

    @classmethod
    def from_config(cls, config: pytest.Config) -> Options:
        """Relative paths are from where pytest was called, the defaults from the project's root."""
        here, named, out = config.invocation_params.dir, config.getoption("kpis"), config.getoption("kpi_out")
        # pytest may take the value of an option for a path to test, and seek its root there.
        root = config.rootpath if (config.rootpath / "kpis.toml").exists() else here
        return cls(
            kpis=here / named if named else root / "kpis.toml",
            named=bool(named),
            out=here / out if out else root / ".kpi" / "latest",
            runs=root / ".kpi",
            annotations=config.getoption("kpi_annotations"),
            release=config.getoption("kpi_release"),
            install=config.getoption("kpi_install"),
            only=frozenset(config.getoption("kpi_only")),
            part=config.getoption("kpi_part"),
            prompts=here / config.getoption("kpi_prompts") if config.getoption("kpi_prompts") else None,
            resume=config.getoption("kpi_resume"),
            attempt=config.getoption("kpi_attempt"),
            decided=config.getoption("kpi_decided"),
            collect_only=config.getoption("collectonly"),
            reach=tuple(config.getoption("kpi_reach")),
        )


def add_options(parser: pytest.Parser) -> None:
    """Adds the options that every use of the gate shares."""
    group = parser.getgroup("kpi", "acceptance of optimized models")
    group.addoption("--kpis", metavar="FILE", help="the file of promises (default: kpis.toml in the root folder)")
    group.addoption("--kpi-out", metavar="DIR", help="where the evidence goes (default: .kpi/latest)")
    group.addoption("--kpi-release", action="store_true", help="green only when every promised target was proven")
    group.addoption("--kpi-resume", action="store_true", help="go on where the last run was stopped")
    group.addoption(
        "--kpi-only", metavar="KPI:TARGET", action="append", default=[], help="this target; may be repeated"
    )
    group.addoption(
        "--kpi-part", metavar="K/N", type=part_of, help="the K-th of N parts of the KPIs: N runs judge all of them"
    )
    group.addoption("--kpi-prompts", metavar="FILE", help="JSON lines that language models answer instead of their own")
    group.addoption(
        "--kpi-annotations",
        choices=FORMS,
        default="off",
        help="what is not proven, at its line of kpis.toml: as workflow commands, or as a file in --kpi-out",
    )
    group.addoption(
        "--kpi-attempt",
        metavar="N",
        type=attempt_of,
        default=1,
        help="this is the N-th attempt, where the history of the earlier ones is not kept, as in most CI",
    )
    group.addoption(
        "--kpi-reach",
        metavar="MACHINE=WHERE",
        action="append",
        default=[],
        help="measure what is promised for MACHINE where it is reached, such as edge=ssh:pi@board; may be repeated",
    )
    group.addoption(
        "--kpi-decided",
        action="store_true",
        help="exit code 1 also where a target stayed undecided, so that a pipeline measures again what it runs again",
    )
    group.addoption("--kpi-install", action="store_true", help="make the environments that recipes name when missing")


def near(path: Path, here: Path) -> str:
    """A path as it is shown: from ``here`` on where it lies there."""
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def misread(config: pytest.Config) -> str:
    """What is wrong where pytest took the value of an option for a path to test, and sought its settings there."""
    chosen, here = config.option, config.invocation_params.dir
    above = [here, *here.parents]
    found = config.inipath is not None and config.inipath.parent in above
    if (
        found
        or chosen.inifilename
        or chosen.rootdir
        or not any((p / name).exists() for p in above for name in _SETTINGS)
    ):
        return ""
    for option, value in pairwise(map(str, config.invocation_params.args)):
        if option in _VALUED and (here / value).exists():
            return (
                f"pytest takes {value} for a path to test, and does not read its settings here: write {option}={value}"
            )
    return ""


def attempt_of(text: str) -> int:
    """The number of an attempt, from 1; raises ArgumentTypeError for anything else."""
    if not re.fullmatch(r"[1-9]\d{0,3}", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"{text!r} is not the number of an attempt, such as 2")
    return int(text)


def part_of(text: str) -> tuple[int, int]:
    """The K and N of ``K/N``; raises ArgumentTypeError where there is no such part."""
    found = re.fullmatch(r"(\d{1,3})/(\d{1,3})", text, re.ASCII)
    if found is None or not 1 <= int(found[1]) <= int(found[2]):
        raise argparse.ArgumentTypeError(f"{text!r} is not a part such as 3/7")
    return int(found[1]), int(found[2])
