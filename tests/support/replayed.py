"""The example that recomputes verdicts, loaded as it lies in its folder."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType
from typing import Any

from tests.support.project import ROOT

PROGRAM = ROOT / "examples/replay.py"
Json = dict[str, Any]


def load(name: str) -> ModuleType:
    found = importlib.util.spec_from_file_location(name, PROGRAM.with_name(f"{name}.py"))
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module  # the program imports its formulas by this name
    found.loader.exec_module(module)
    return module


quantiles = load("replay_quantiles")
shares = load("replay_shares")
files = load("replay_file")
formulas = load("replay_formulas")
looks = load("replay_looks")
bounds = load("replay_bounds")
slices = load("replay_slices")
replay = load("replay")
