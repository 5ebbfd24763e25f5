"""Shares a small, valid ``kpis.toml`` between the harness's own tests."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

from harness.core.errors import SpecError
from harness.spec.model import Spec
from harness.spec.reader import read_spec
from tests.support.packages import here, proven_run
from tests.support.project import own_temporary_files, project, shared_store
from tests.support.speeds import (
    pytest_addoption,
    pytest_collection_modifyitems,
    pytest_configure,
    pytest_report_header,
    pytest_runtest_setup,
)

# A shared machine may stall anywhere; in CI hypothesis's own profile makes the examples always the same.
settings.register_profile("harness", parent=settings(), deadline=None, max_examples=100)
settings.load_profile("harness")

VALID = """\
[measure]
confidence = "97 %"
looks = [6, 9]
seconds = "0.5 s"
samples = 50
budget = "3 min"

[machine.here]
device = "cpu"
cpu = "AMD *"
cores = ">= 2"
memory = ">= 1 GB"

[workload.tiny]
task = "image-classification"
fixture = "fixtures.tiny"
reference = "fp32"

[workload.tiny.recipe.fp32]
runtime = "onnxruntime"
passes = ["onnx"]

[workload.tiny.recipe.int8]
runtime = { name = "openvino", hint = "latency" }
passes = ["onnx", "openvino", { pass = "nncf", calibration = 8 }]

[workload.tiny.recipe.int8.scenario.offline]
batch = 8
runtime = { hint = "throughput" }

[[workload.tiny.published]]
source = "a paper"
recipe = "theirs"
machine = "another"
values = { "latency.p50" = "1 ms .. 2 ms" }

[[kpi]]
name = "tiny-fast"
description = "small, fast, right"
workload = "tiny"
recipe = "int8"
machine = "here"

[kpi.targets]
"latency.p50" = ["< 3 ms", "<= 0.5 x fp32"]
"accuracy.top1" = "drop <= 1 pp vs fp32"
"size" = "< 5 MB"
"""


@pytest.fixture(scope="session")
def valid() -> str:
    """The text of a ``kpis.toml`` without mistakes: one KPI of four targets."""
    return VALID


@pytest.fixture(scope="session")
def edit() -> Callable[..., str]:
    """``edit((old, new), ...)``: the valid text, each ``old``, which must be there, replaced where it first stands."""

    def edited(*changes: tuple[str, str]) -> str:
        text = VALID
        for old, new in changes:
            assert old in text
            text = text.replace(old, new, 1)
        return text

    return edited


@pytest.fixture(scope="session")
def kpis_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the TOML is written: next to a fixture that is found, but is never imported to read the TOML."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "fixtures" / "tiny").mkdir(parents=True)
    (folder / "fixtures" / "tiny" / "__init__.py").touch()
    return folder / "kpis.toml"


@pytest.fixture(scope="session")
def read(kpis_file: Path) -> Callable[[str], Spec]:
    """Writes the text, reads it as a spec."""

    def reader(text: str) -> Spec:
        kpis_file.write_text(text, encoding="utf-8")
        return read_spec(kpis_file)

    return reader


@pytest.fixture(scope="session")
def problems(read: Callable[[str], Spec]) -> Callable[[str], tuple[str, ...]]:
    """The mistakes that are told of a text, one line each; none for a text without."""

    def mistakes(text: str) -> tuple[str, ...]:
        try:
            read(text)
        except SpecError as error:
            # Lines of the file are what test_sources.py is about.
            return tuple(re.sub(r"^kpis\.toml:\d+: ", "kpis.toml: ", line) for line in str(error).splitlines())
        return ()

    return mistakes


__all__ = [
    "here",
    "own_temporary_files",
    "project",
    "proven_run",
    "pytest_addoption",
    "pytest_collection_modifyitems",
    "pytest_configure",
    "pytest_report_header",
    "pytest_runtest_setup",
    "shared_store",
]
