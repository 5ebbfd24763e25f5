"""A name or key that ``kpis.toml`` may not hold is refused wherever it stands, by the reader as by the JSON Schema."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from harness.judge.metrics import metrics
from harness.spec.schema import json_schema
from harness.spec.tasks import tasks

SHIPPED = Path(__file__).resolve().parents[2] / "kpis.toml"
TASK = "image-classification"
Edit = Callable[..., str]
Problems = Callable[[str], tuple[str, ...]]

# Each entry: what is replaced in the valid text, by what, which table must be named, the rest that must be said.
UNKNOWN_KEYS = {
    "root": ("[measure]", "[mesure]", "kpis.toml: ", '"mesure"; did you mean "measure"?'),
    "machine": ('cpu = "AMD *"', 'cpuu = "AMD *"', "[machine.here]", '"cpuu"; did you mean "cpu"?'),
    "workload": ("reference =", "refrence =", "[workload.tiny]", '"refrence"; did you mean "reference"?'),
    "recipe": ('runtime = "onn', 'runtimes = "onn', "[workload.tiny.recipe.fp32]", 'did you mean "runtime"?'),
    "pass": ("calibration = 8", "calibraton = 8", "recipe.int8] passes[2] (nncf)", 'did you mean "calibration"?'),
    "runtime": ('hint = "latency"', 'hnt = "latency"', "recipe.int8] runtime", 'did you mean "hint"?'),
    "scenario": ("batch = 8", "bach = 8", "recipe.int8] scenario.offline", 'did you mean "batch"?'),
    "override": ('{ hint = "thr', '{ hit = "thr', "scenario.offline runtime", 'did you mean "hint"?'),
    "published": ("source =", "sauce =", "[workload.tiny] published[0]", 'did you mean "source"?'),
    "kpi": ("description =", "descripton =", '[[kpi]] "tiny-fast"', 'did you mean "description"?'),
    "measure": ("budget =", "budgit =", "[measure]", '"budgit"; did you mean "budget"?'),
}


@pytest.mark.parametrize(("old", "new", "where", "said"), UNKNOWN_KEYS.values(), ids=UNKNOWN_KEYS)
def test_an_unknown_key_is_refused_at_every_level(  # one parameter for each part of the mistake
    problems: Problems, edit: Edit, old: str, new: str, where: str, said: str
) -> None:
    told = [line for line in problems(edit((old, new))) if "unknown key" in line]
    assert told
    assert where in told[0]
    assert said in told[0]
    assert "(allowed: " in told[0]


UNKNOWN_NAMES = {
    "pass": ('passes = ["onnx"]', 'passes = ["onx"]', "recipe.fp32] passes[0]", 'unknown pass "onx"', "onnx"),
    "runtime": ('"onnxruntime"', '"onxruntime"', "recipe.fp32]", 'unknown runtime "onxruntime"', "onnxruntime"),
    "metric": ('"latency.p50" = [', '"latncy.p50" = [', '"tiny-fast"', 'unknown metric "latncy.p50"', "latency.p50"),
    "published metric": ('"latency.p50" = "1', '"latency.50" = "1', "published[0]", "unknown metric", "latency.p50"),
    "recipe": ('recipe = "int8"', 'recipe = "int4"', '"tiny-fast"', 'unknown recipe "int4"', "int8"),
    "reference": ('reference = "fp32"', 'reference = "fp16"', "[workload.tiny]", 'unknown recipe "fp16"', "fp32"),
    "a recipe's reference": (
        'passes = ["onnx"]', 'passes = ["onnx"]\nreference = "int"', "recipe.fp32]", 'unknown recipe "int"', "int8"
    ),
    "compared": ("0.5 x fp32", "0.5 x fp23", "latency.p50: '<= 0.5 x fp23'", 'unknown recipe "fp23"', "fp32"),
    "machine": ('machine = "here"', 'machine = "her"', '"tiny-fast"', 'unknown machine "her"', "here"),
    "workload": ('workload = "tiny"', 'workload = "tny"', '"tiny-fast"', 'unknown workload "tny"', "tiny"),
    "scenario": (".offline]", ".ofline]", "recipe.int8] scenario.ofline", 'unknown scenario "ofline"', "offline"),
    "task": ("image-class", "image-clas", "[workload.tiny]", "unknown task", "image-classification"),
    "fixture": ('"fixtures.tiny"', '"fixtures.tinny"', "[workload.tiny]", "unknown fixture", "fixtures.tiny"),
    "environment": (
        'passes = ["onnx"]',
        'passes = ["onnx"]\nenvironment = "onnxruntime-openvin"',
        "recipe.fp32]",
        'unknown environment "onnxruntime-openvin"',
        "onnxruntime-openvino",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("old", "new", "where", "said", "near"), UNKNOWN_NAMES.values(), ids=UNKNOWN_NAMES)
def test_an_unknown_name_is_refused_with_the_nearest(  # one parameter for each part of the mistake
    problems: Problems, edit: Edit, old: str, new: str, where: str, said: str, near: str
) -> None:
    told = [line for line in problems(edit((old, new))) if "unknown" in line]
    assert len(told) == 1
    assert where in told[0]
    assert said in told[0]
    assert f'did you mean "{near}"?' in told[0]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "accuracy.eer",
            "; of this kind: accuracy.auc, accuracy.macro_f1, accuracy.top1, accuracy.top5 (",
        ),  # not the nearest of another task, accuracy.wer
        ("accuracy.macro-f1", '; did you mean "accuracy.macro_f1"? ('),
        ("accuracy.top-1", '; did you mean "accuracy.top1"? ('),
        ("latency.p-50", '; did you mean "latency.p50"? ('),
        ("latency", "; of this kind: latency.p50, latency.p95, latency.p99 ("),
        ("p99", '; did you mean "latency.p99"? ('),
        ("nonsense", " ("),
    ],
)
def test_an_unknown_metric_is_told_with_those_of_its_kind_and_task(
    problems: Problems, edit: Edit, name: str, said: str
) -> None:
    (told,) = problems(edit(('"size" = "< 5 MB"', f'"{name}" = "< 5 MB"')))
    start = f'kpis.toml: [[kpi]] "tiny-fast": unknown metric "{name}"{said}metrics of image-classification: '
    assert told.startswith(start)
    # All of the task, and none that only another task has.
    listed = told.removeprefix(start).removesuffix(")").split(", ")
    assert listed == sorted(
        name for name, cls in metrics().items() if not cls.tasks or cls.tasks & {TASK, "tensors", "array"}
    )


def test_a_metric_of_another_task_is_told_with_those_of_its_kind(problems: Problems, edit: Edit) -> None:
    (told,) = problems(edit(('"size" = "< 5 MB"', '"accuracy.wer" = "<= 5 %"')))
    assert "accuracy.wer is not defined for the task 'image-classification'; its metrics of this kind are" in told
    assert told.endswith("accuracy.auc, accuracy.macro_f1, accuracy.top1, accuracy.top5")


def test_another_kind_of_model_is_no_typo_of_a_task(problems: Problems, edit: Edit) -> None:
    (told,) = problems(edit(("image-classification", "object-tracking")))
    assert "did you mean" not in told
    assert all(task in told for task in tasks())


def test_the_schema_is_one_and_takes_the_shipped_file(valid: str) -> None:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(tomllib.loads(SHIPPED.read_text(encoding="utf-8")), schema)
    jsonschema.validate(tomllib.loads(valid), schema)


@pytest.mark.parametrize(
    ("old", "new"),
    [entry[:2] for level, entry in UNKNOWN_KEYS.items() if level != "override"],
    ids=[level for level in UNKNOWN_KEYS if level != "override"],
)
def test_the_schema_refuses_an_unknown_key_at_every_level(edit: Edit, old: str, new: str) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(tomllib.loads(edit((old, new))), json_schema())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("samples = 50", 'samples = "50"'),
        ("calibration = 8", "calibration = true"),
        ("batch = 8", 'batch = "8"'),
        ("reference =", 'allow_pickle = "yes"\nreference ='),
        ("reference =", "trust_remote_code = 1\nreference ="),
    ],
)
def test_a_value_of_another_type_is_refused_by_the_reader_as_by_the_schema(
    problems: Problems, edit: Edit, old: str, new: str
) -> None:
    data: dict[str, Any] = tomllib.loads(edit((old, new)))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(data, json_schema())
    assert problems(edit((old, new)))
