"""The command that writes a first ``kpis.toml`` for a model that is a file."""

from __future__ import annotations

import argparse
import configparser
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli.commands.base import Command
from harness.core.errors import KpiError
from harness.core.files import write_atomically
from harness.spec.model import DEVICES

if TYPE_CHECKING:
    from harness.cli.starting import Found

_PYTEST = """\
# So that `pytest` alone judges what kpis.toml says. Written by `kpi init`.
[pytest]
addopts = --pyargs kpi_tests --import-mode=importlib
"""
_CALL = "pytest --pyargs kpi_tests"


class Init(Command):
    """``kpi init``."""

    name = "init"
    title = "writes kpis.toml for a model file: recipes for the runtimes that are installed, and first targets"

    @classmethod
    def arguments(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("model", type=Path, help="a model file; docs/files.md names the formats")
        said = (
            "arrays named as the inputs, and `label` (.npz, .npy, .safetensors), a table (.csv, .parquet), texts "
            "(.jsonl), a folder of pictures or recordings, a COCO file (.json); default: random numbers"
        )
        parser.add_argument("--data", type=Path, help=said)
        said = "what reads texts; default: a tokenizer.json next to the model or the data"
        parser.add_argument("--tokenizer", type=Path, metavar="PATH", help=said)
        said = "sizes that the model leaves open, for random numbers: --shape image=3x224x224; may be repeated"
        parser.add_argument("--shape", action="append", default=[], metavar="INPUT=AxBxC", help=said)
        parser.add_argument("--device", choices=DEVICES, default="cpu", help="what it is to run on")
        said = "judge it once, and propose bounds from what was measured, with a margin"
        parser.add_argument("--measure", action="store_true", help=said)

    @classmethod
    def run(cls, chosen: argparse.Namespace) -> int:
        from harness.cli.starting import look, written

        kpis: Path = chosen.kpis
        if kpis.exists():
            raise KpiError(f"{kpis} is there already", "name another file with --kpis FILE, or remove that one")
        folder = kpis.resolve().parent
        folder.mkdir(parents=True, exist_ok=True)
        found = look(chosen.model, chosen.data, folder, _shapes(chosen.shape), chosen.tokenizer)
        write_atomically(kpis, written(found, chosen.device, folder))
        call = _pytest_finds(folder) if kpis.name == "kpis.toml" else f"{_CALL} --kpis {kpis}"
        _tell(found, kpis)
        if chosen.measure:
            _measure(found, kpis, chosen.device)
        print(f"now: {call}")
        return 0


def _shapes(texts: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """The sizes of one sample by input. Raises KpiError for what is not written so."""
    found = {}
    for text in texts:
        name, _, sizes = text.rpartition("=")
        parts = sizes.lower().split("x")
        if not name or not all(part.isdecimal() and int(part) > 0 for part in parts):
            raise KpiError(f"--shape {text}: write the input and the sizes of one sample, as in image=3x224x224")
        found[name] = tuple(map(int, parts))
    return found


def _tell(found: Found, kpis: Path) -> None:
    print(f"{found.model.name}: {found.signature.about}")
    for way, ports in (("takes", found.signature.inputs), ("answers", found.signature.outputs)):
        print(f"  {way} {', '.join(map(str, ports))}")
    print(f"  {found.samples} samples in {found.data.name}" + (" (random numbers)" if found.made else ""))
    print(f"  task: {found.task}")
    for remark in found.remarks:
        print(f"  note: {remark}")
    print(f"written: {kpis}", flush=True)


def _pytest_finds(folder: Path) -> str:
    """Lets ``pytest`` alone find the tests, where the folder has no settings of its own; returns the call."""
    if _has_settings(folder):
        return _CALL
    write_atomically(folder / "pytest.ini", _PYTEST)
    return "pytest"


def _has_settings(folder: Path) -> bool:
    """Whether pytest's settings are in the folder already."""
    if any((folder / name).exists() for name in ("pytest.ini", ".pytest.ini", "pytest.toml", ".pytest.toml")):
        return True
    try:
        if "pytest" in tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8")).get("tool", {}):
            return True
    except (OSError, ValueError):
        pass  # none, or one that pytest can't read either
    for name, section in (("tox.ini", "pytest"), ("setup.cfg", "tool:pytest")):
        settings = configparser.ConfigParser()
        try:
            settings.read(folder / name, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError):
            continue
        if settings.has_section(section):
            return True
    return False


def _measure(found: Found, kpis: Path, device: str) -> None:
    """Judges it once, then writes the file again, its bounds from what was measured."""
    from harness.cli.measured import bounds_of
    from harness.cli.starting import written

    folder = kpis.resolve().parent
    out = folder / ".kpi" / "init"
    call = [sys.executable, "-m", "pytest", "--pyargs", "kpi_tests", "--import-mode=importlib"]
    done = subprocess.run([*call, "--kpis", str(kpis.resolve()), "--kpi-out", str(out)], cwd=folder, check=False)
    if done.returncode not in (0, 1):
        raise KpiError(f"pytest ended with {done.returncode}: no bounds were proposed", f"see what it says: {_CALL}")
    bounds = bounds_of(out / "evidence.json", kpis)
    write_atomically(kpis, written(found, device, folder, bounds))
    print(f"written again, {len(bounds)} bounds from what was measured: {kpis}")
