"""What ``kpi search`` tries of a model that is a file and names no space, one that keeps state too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from harness.build.passes.onnx_optimize import OnnxOptimize
from harness.search.run import _default_space
from harness.spec.reader import read_spec
from tests.support.model_files import MEMORY, WIDTH, memory
from tests.support.project import Project

TOML = (
    MEMORY
    + """
[[kpi]]
name = "memory"
workload = "memory"
recipe = "openvino"
machine = "any-cpu"
targets = { "parity.relative_error" = "<= 50 %", "size" = "< 50 kB" }
"""
)


def test_what_follows_from_constants_is_computed_first(tmp_path: Path) -> None:
    (tmp_path / "kpis.toml").write_text(TOML, encoding="utf-8")
    for constants in (True, False):
        text = TOML if constants else TOML.replace("constants = { gain = 0.5 }\n", "")
        (tmp_path / "kpis.toml").write_text(text, encoding="utf-8")
        space = _default_space(read_spec(tmp_path / "kpis.toml").workloads["memory"], 2)
        first = {name: table["passes"][0] for name, table in space.items()}
        folding = {"pass": OnnxOptimize.name, "level": "basic"}
        assert {name: step == folding for name, step in first.items()} == dict.fromkeys(space, constants)
        assert {"openvino", "onnxruntime"} == space.keys()


@pytest.mark.suite
@pytest.mark.long
def test_a_model_that_keeps_state_is_searched(tmp_path: Path, shared_store: Path) -> None:
    memory(tmp_path / "memory.onnx")
    chance = np.random.default_rng(1)
    np.savez(tmp_path / "data.npz", x=chance.uniform(-1, 1, (60, 5, WIDTH)).astype(np.float32))
    (tmp_path / "kpis.toml").write_text(TOML, encoding="utf-8")
    done = Project(tmp_path, shared_store).cli("search", "memory", "--trials", "5", "--minutes", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "broken" not in done.stdout
    assert "meets all 2 targets" in done.stdout
