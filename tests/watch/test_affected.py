"""Which targets a change can affect: all of those, and no others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

import harness
from harness.core.imports import closure
from harness.spec.model import Spec
from harness.spec.reader import read_spec
from harness.watch.affected import Folders, by_files, by_promises, followed, ignored
from tests.support.model_files import save
from tests.support.project import ROOT

HARNESS = Path(harness.__file__).resolve().parent
FOLDERS = Folders(HARNESS, ROOT / "kpi_tests")
TEXT = """\
[machine.here]
device = "cpu"
price = "1 USD/h"

[machine.there]
device = "cpu"
cpu = "Other*"
price = "2 USD/h"

[workload.one]
task = "image-classification"
fixture = "fixtures.one"
reference = "fp32"

[workload.one.recipe.fp32]
runtime = "onnxruntime"
passes = ["onnx"]

[workload.one.recipe.int8]
runtime = { name = "openvino", hint = "latency" }
passes = ["onnx", "openvino", { pass = "nncf", calibration = 8 }]

[workload.one.recipe.int8.scenario.offline]
batch = 8

[workload.two]
task = "image-classification"
fixture = "fixtures.two"
data = "pictures"

[workload.two.recipe.fp32]
runtime = "onnxruntime"
passes = ["onnx"]

[[kpi]]
name = "fast"
workload = "one"
recipe = "int8"
machine = "here"

[kpi.targets]
"latency.p50" = ["< 3 ms", "<= 0.5 x fp32"]
"throughput.offline" = "> 1 fps"
"size" = "< 5 MB"
"parity.agreement" = "> 90 %"
"cost.per_million" = "< 1 USD"

[[kpi]]
name = "base"
workload = "one"
recipe = "fp32"
machine = "here"
targets = { "accuracy.top1" = "> 80 %", "latency.p50" = "< 9 ms" }

[[kpi]]
name = "other"
workload = "two"
recipe = "fp32"
machine = "there"
targets = { "size" = "< 9 MB", "latency.p50" = "< 9 ms" }

[[kpi]]
name = "cheaper"
workload = "one"
recipe = "int8"
machine = "there"
against = "base"
targets = { "cost.ratio" = "<= 0.9" }
"""
FAST = {
    "fast:p50", "fast:p50-ratio-fp32", "fast:offline", "fast:size", "fast:agreement", "fast:per_million",
}  # fmt: skip
ONE = FAST | {"base:top1", "base:p50", "cheaper:ratio"}
TWO = {"other:size", "other:p50"}
Read = Callable[..., Spec]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Fixtures that share code and data: ``two`` imports ``shared``, which reads what lies next to it."""
    for name, text in {
        "fixtures/__init__.py": "",
        "fixtures/one/__init__.py": "from . import numbers\n",
        "fixtures/one/numbers.py": "",
        "fixtures/one/weights.bin": "1",
        "fixtures/two/__init__.py": "def f():\n    from fixtures.shared.words import WORDS\n",
        "fixtures/shared/__init__.py": "",
        "fixtures/shared/words.py": "import lone\nWORDS = ()\n",
        "fixtures/shared/unused.py": "",
        "fixtures/shared/lists/words.txt": "",
        "fixtures/idle/__init__.py": "",
        "lone.py": "",
        "pictures/0.png": "",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


@pytest.fixture
def read(project: Path) -> Read:
    """The promises after some replacements, each of which must be found."""

    def reader(*changes: tuple[str, str]) -> Spec:
        text = TEXT
        for old, new in changes:
            assert old in text
            text = text.replace(old, new, 1)
        (project / "kpis.toml").write_text(text, encoding="utf-8")
        return read_spec(project / "kpis.toml")

    return reader


def test_the_example_has_the_targets_that_are_spoken_of(read: Read) -> None:
    assert {target.id for target in read().targets} == ONE | TWO


@pytest.mark.parametrize(
    ("change", "affected"),
    [
        (('"< 3 ms"', '"< 4 ms"'), {"fast:p50"}),
        (('"< 3 ms"', '"<   3 ms"'), set()),
        (('"< 3 ms"', '"< 3000 us"'), set()),
        (('"size" = "< 5 MB"', '"size" = ["< 5 MB", "< 4 MB"]'), {"fast:size < 4 MB"}),
        (('"size" = "< 5 MB"\n', ""), set()),
        (('name = "other"', 'name = "renamed"'), {"renamed:size", "renamed:p50"}),
        (('name = "other"', '# a comment\n\nname   =   "other"'), set()),
        (('name = "other"', 'name = "other"\ndescription = "of another kind"'), set()),
        (('reference = "fp32"', 'reference = "fp32"\nlicence = "MIT"'), set()),
        # The passes make the files: everything of the recipe, and of those that are held against it.
        (("calibration = 8", "calibration = 9"), FAST | {"cheaper:ratio"}),
        (('hint = "latency"', 'hint = "throughput"'), (FAST - {"fast:size"}) | {"cheaper:ratio"}),
        (("batch = 8", "batch = 9"), {"fast:offline", "fast:per_million", "cheaper:ratio"}),
        (
            ('runtime = "onnxruntime"', 'runtime = { name = "onnxruntime", threads = 1 }'),
            {"fast:p50-ratio-fp32", "fast:agreement", "base:top1", "base:p50", "cheaper:ratio"},
        ),
        (('task = "image-classification"', 'task = "image-classification"\nmodel = "hub/name"'), ONE),
        (('data = "pictures"', 'data = "."'), TWO),
        (('price = "1 USD/h"', 'price = "3 USD/h"'), {"fast:per_million", "cheaper:ratio"}),
        (
            ('price = "1 USD/h"', 'cores = ">= 1"\nprice = "1 USD/h"'),
            {"fast:p50", "fast:p50-ratio-fp32", "fast:offline", "fast:per_million", "base:p50", "cheaper:ratio"},
        ),
        (('device = "cpu"', 'device = "gpu"'), (FAST | {"base:top1", "base:p50", "cheaper:ratio"}) - {"fast:size"}),
        (('against = "base"', 'against = "fast"'), {"cheaper:ratio"}),
        (("[machine.here]", '[measure]\nseconds = "0.1 s"\n\n[machine.here]'), ONE | TWO),
        (('name = "base"\nworkload = "one"\nrecipe = "fp32"', 'name = "base"\nworkload = "one"\nrecipe = "int8"'),
         {"base:top1", "base:p50", "cheaper:ratio"}),
    ],
)  # fmt: skip
def test_a_change_of_the_promises(read: Read, change: tuple[str, str], affected: set[str]) -> None:
    before = read()
    assert set(by_promises(before, read(change))) == affected


def test_nothing_changed_affects_nothing_and_each_reason_is_said(read: Read) -> None:
    assert by_promises(read(), read()) == {}
    found = by_promises(read(), read(('"< 3 ms"', '"< 4 ms"'), ("calibration = 8", "calibration = 9")))
    assert found["fast:p50"] == "its bound"
    assert found["fast:size"] == "recipe int8"


@pytest.mark.parametrize(
    ("name", "affected"),
    [
        ("fixtures/one/__init__.py", ONE),
        ("fixtures/one/numbers.py", ONE),
        ("fixtures/one/weights.bin", ONE),
        ("fixtures/one/new.py", ONE),
        ("fixtures/one/deep/new.json", ONE),
        ("fixtures/one/README.md", set()),
        ("fixtures/one/__pycache__/numbers.cpython-311.pyc", set()),
        ("fixtures/one/.numbers.py.swp", set()),
        ("fixtures/__init__.py", ONE | TWO),
        ("fixtures/two/__init__.py", TWO),
        ("fixtures/shared/words.py", TWO),
        ("fixtures/shared/lists/words.txt", TWO),
        ("fixtures/shared/unused.py", set()),
        ("fixtures/idle/__init__.py", set()),
        ("lone.py", TWO),
        ("pictures/0.png", TWO),
        ("notes.txt", set()),
        ("conftest.py", ONE | TWO),
        ("environments/none.txt", set()),
    ],
)
def test_a_change_of_a_fixture(read: Read, project: Path, name: str, affected: set[str]) -> None:
    spec = read()
    assert set(by_files(spec, [project.resolve() / name], FOLDERS)) == affected


@pytest.mark.parametrize(
    ("name", "affected"),
    [
        ("judge/metrics/size.py", {"fast:size", "other:size"}),
        ("judge/metrics/latency.py", {"fast:p50", "fast:p50-ratio-fp32", "base:p50", "other:p50"}),
        ("judge/metrics/cost.py", {"fast:per_million", "cheaper:ratio"}),
        ("tasks/speech/metrics.py", set()),
        ("judge/metrics/base.py", ONE | TWO),
        ("build/passes/nncf.py", FAST | {"cheaper:ratio"}),
        ("tasks/question_answering/passes/qdq.py", set()),
        ("build/passes/onnx.py", ONE | TWO),
        ("tasks/question_answering/passes/qat.py", set()),
        ("build/worker.py", ONE | TWO),
        ("measure/runtimes/openvino.py", (FAST - {"fast:size"}) | {"cheaper:ratio"}),
        ("measure/scenarios/offline.py", {"fast:offline", "fast:per_million", "cheaper:ratio"}),
        ("measure/scenarios/evaluate.py", {"fast:agreement", "base:top1"}),
        ("gate.py", ONE | TWO),
        ("measure/media/audio.py", ONE | TWO),
        ("py.typed", set()),
        ("build/requirements/onnxruntime-openvino.txt", set()),
    ],
)
def test_a_change_of_the_harness(read: Read, name: str, affected: set[str]) -> None:
    assert (HARNESS / name).exists()
    assert set(by_files(read(), [HARNESS / name], FOLDERS)) == affected


def test_a_new_extension_that_nobody_names_affects_nothing(read: Read, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "harness"
    shutil.copytree(HARNESS / "judge/metrics", copy / "judge/metrics")
    new = copy / "judge/metrics/new.py"
    new.write_text('class New:\n    name = "new"\n', encoding="utf-8")
    helper = copy / "judge/metrics/helper.py"
    helper.write_text("HELP = 1\n", encoding="utf-8")
    folders = replace(FOLDERS, harness=copy)
    assert by_files(read(), [new], folders) == {}
    assert set(by_files(read(), [helper], folders)) == ONE | TWO


@pytest.mark.parametrize(
    ("name", "affected"),
    [
        ("test_size.py", {"fast:size", "other:size"}),
        ("test_speech.py", ONE | TWO),  # no kind that is promised: it may be anything
        ("__init__.py", ONE | TWO),
    ],
)
def test_a_change_of_a_test(read: Read, name: str, affected: set[str]) -> None:
    assert set(by_files(read(), [ROOT / "kpi_tests" / name], FOLDERS)) == affected


def test_an_environment_affects_the_recipes_that_name_it(read: Read, project: Path) -> None:
    (project / "environments").mkdir()
    (project / "environments/apart.txt").write_text("", encoding="utf-8")
    spec = read(('runtime = "onnxruntime"', 'runtime = "onnxruntime"\nenvironment = "apart"'))
    found = set(by_files(spec, [project.resolve() / "environments/apart.txt"], FOLDERS))
    assert found == {"fast:p50-ratio-fp32", "fast:agreement", "base:top1", "base:p50", "cheaper:ratio"}


def test_what_is_watched_is_where_the_files_lie(read: Read, project: Path) -> None:
    assert followed(read()) == [project.resolve() / name for name in ("fixtures", "lone.py", "pictures")]


def test_our_own_fixtures_are_followed() -> None:
    spec = read_spec(ROOT / "kpis.toml")

    def workloads(name: str) -> set[str]:
        found = set(by_files(spec, [ROOT / name], FOLDERS))
        return {target.workload for target in spec.targets if target.id in found}

    assert workloads("fixtures/food11/mobilenet_v2.safetensors") == {"food11"}
    assert {"translation", "translation-class"} <= workloads("fixtures/translation/prompts.jsonl")
    assert workloads("harness/tasks/speech/passes/whisper.py") <= {"speech", "whisper-base"}


def test_imports_are_followed_however_they_are_written(tmp_path: Path) -> None:
    for name, text in {
        "a/__init__.py": "",
        "a/b.py": "from . import c\nfrom .d.e import f\nimport numpy, g.h\n",
        "a/c.py": "import a.b\n",
        "a/d/__init__.py": "",
        "a/d/e.py": "from ..i import j\n",
        "a/i.py": "this is not Python(\n",
        "g/h.py": "from a.d import *\n",
        "k.py": "import a.b",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    found = {path.relative_to(tmp_path).as_posix() for path in closure(tmp_path, [tmp_path / "a/b.py"])}
    assert found == {"a/b.py", "a/c.py", "a/__init__.py", "a/d/__init__.py", "a/d/e.py", "a/i.py", "g/h.py"}


@pytest.mark.parametrize("name", ["x.py~", ".x.py", "#x.py#", "a/__pycache__/x.pyc", "x.swp", "notes.md", ".git/HEAD"])
def test_what_editors_leave_is_ignored(name: str) -> None:
    assert ignored(Path("/project/fixtures") / name)
    assert not ignored(Path("/project/fixtures/x.py"))


FILES = """\
[machine.here]
device = "cpu"

[metric."recall.worst_class"]
function = "metrics.py:worst"
of = "set"
unit = "%"

[workload.digits]
task = "tabular-classification"
model = "digits.onnx"
data = "digits.npz"
reference = "as-delivered"

[workload.digits.recipe.as-delivered]
runtime = "onnxruntime"

[workload.digits.recipe.vendor]
runtime = "onnxruntime"
model = "vendor.onnx"

[[kpi]]
name = "digits"
workload = "digits"
recipe = "vendor"
machine = "here"

[kpi.targets]
"size" = "< 5 MB"
"recall.worst_class" = ">= 60 %"
"""


def test_models_from_files_and_metrics_of_ones_own_are_followed(tmp_path: Path) -> None:
    save(tmp_path / "vendor.onnx", [helper.make_node("Mul", ["x", "w"], ["y"])], {"x": ["n", 3]}, {"y": ["n", 3]},
         {"w": np.ones(3, np.float32)}, external=True)  # fmt: skip
    for name in ("digits.onnx", "digits.npz", "metrics.py", "other.py"):
        (tmp_path / name).write_text("", encoding="utf-8")
    (tmp_path / "kpis.toml").write_text(FILES, encoding="utf-8")
    spec = read_spec(tmp_path / "kpis.toml")
    everything = {"digits:size", "digits:worst_class"}

    def affected(name: str) -> set[str]:
        return set(by_files(spec, [(tmp_path / name).resolve()], FOLDERS))

    for name in ("digits.onnx", "digits.npz", "vendor.onnx", "vendor.weights"):
        assert affected(name) == everything, name
    assert affected("metrics.py") == {"digits:worst_class"}
    assert affected("other.py") == set()
    assert tmp_path.resolve() / "vendor.weights" in followed(spec)
    assert tmp_path.resolve() / "metrics.py" in followed(spec)
