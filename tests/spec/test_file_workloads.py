"""Workloads without a fixture in ``kpis.toml``: what they become, and every mistake in them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.core.data_files import Preprocess, RecordingPreprocess, TextPreprocess
from harness.core.errors import SpecError
from harness.spec.model import Spec
from harness.spec.reader import read_recipe, read_spec

TEXT = """
[machine.any-cpu]
device = "cpu"

[workload.mine]
task = "tabular-classification"
model = "models/mine.onnx"
data = "data/mine.npz"
reference = "as-delivered"

[workload.mine.recipe.as-delivered]
runtime = "onnxruntime"

[workload.mine.recipe.int8]
runtime = "onnxruntime"
passes = ["onnx-static-int8"]

[workload.mine.recipe.openvino]
runtime = "openvino"
passes = ["openvino", "nncf"]

[workload.mine.recipe.vendor]
runtime = "openvino"
model = "vendor/mine.xml"

[[kpi]]
name = "mine"
workload = "mine"
recipe = "int8"
machine = "any-cpu"
targets = { "accuracy.top1" = "drop <= 1 pp vs as-delivered", "size" = "< 1 MB" }
"""


def read(folder: Path, text: str = TEXT) -> Spec:
    (folder / "kpis.toml").write_text(text, encoding="utf-8")
    return read_spec(folder / "kpis.toml")


def test_a_recipe_begins_with_the_file(tmp_path: Path) -> None:
    workload = read(tmp_path).workloads["mine"]
    steps = {name: [step.name for step in recipe.passes] for name, recipe in workload.recipes.items()}
    assert steps == {
        "as-delivered": ["onnx-file"],
        "int8": ["onnx-file", "onnx-static-int8"],
        "openvino": ["onnx-file", "openvino", "nncf"],
        "vendor": ["openvino-file"],
    }
    assert workload.recipes["vendor"].passes[0].options == {"file": "vendor/mine.xml", "sha256": None}
    assert workload.model == str(tmp_path / "models/mine.onnx")
    assert workload.data_files is not None
    assert workload.data_files.whole == tmp_path / "data/mine.npz"


def test_names_of_a_recipe_s_own_file(tmp_path: Path) -> None:
    named = 'inputs = { x = { name = "image", axes = [0, 2, 3, 1] } }\noutputs = { y = "scores" }'
    file = f'runtime = "litert"\nmodel = "vendor/mine.tflite"\n{named}'
    text = TEXT.replace('runtime = "openvino"\nmodel = "vendor/mine.xml"', file)
    (step,) = read(tmp_path, text).workloads["mine"].recipes["vendor"].passes
    assert step.name == "tflite-file"
    assert step.options["inputs"] == {"x": {"name": "image", "axes": [0, 2, 3, 1]}}
    assert step.options["outputs"] == {"y": "scores"}


def test_paths_begin_at_the_file_of_the_table(tmp_path: Path) -> None:
    inner = tmp_path / "models/mine/kpis.toml"
    inner.parent.mkdir(parents=True)
    inner.write_text(TEXT, encoding="utf-8")
    spec = read(tmp_path, 'include = ["models/*/kpis.toml"]\n')
    workload = spec.workloads["mine"]
    assert workload.model == str(tmp_path / "models/mine/models/mine.onnx")
    assert workload.recipes["int8"].passes[0].options["file"] == str(Path("models/mine/models/mine.onnx"))


def test_search_reads_recipes_of_files_too(tmp_path: Path) -> None:
    spec = read(tmp_path)
    table = {"runtime": "onnxruntime", "passes": ["onnx-dynamic-int8"]}
    made = read_recipe(spec.path, "mine", "tried", table, spec.workloads["mine"].model_file)
    assert [step.name for step in made.passes] == ["onnx-file", "onnx-dynamic-int8"]


def test_data_of_several_files_and_shares(tmp_path: Path) -> None:
    table = (
        'data = { file = "d.npz", training = "10 %", validation = "0 %", seed = 3, label = "y", inputs = { a = "b" } }'
    )
    files = read(tmp_path, TEXT.replace('data = "data/mine.npz"', table)).workloads["mine"].data_files
    assert files is not None
    assert (files.training, files.validation, files.seed, files.label) == (0.1, 0.0, 3, "y")
    assert files.inputs == {"a": "b"}
    table = 'data = { evaluation = "e.npz", training = "t.npz" }'
    files = read(tmp_path, TEXT.replace('data = "data/mine.npz"', table)).workloads["mine"].data_files
    assert files is not None
    assert {name: file.name for name, file in files.splits.items()} == {"evaluation": "e.npz", "training": "t.npz"}


def test_columns_of_a_table(tmp_path: Path) -> None:
    table = 'data = { file = "d.csv", inputs = { x = ["a", "b"], z = "c" }, label = ["d", "e"], missing = "nan" }'
    files = read(tmp_path, TEXT.replace('data = "data/mine.npz"', table)).workloads["mine"].data_files
    assert files is not None
    assert (files.columns, files.inputs, files.labels) == ({"x": ("a", "b")}, {"z": "c"}, ("d", "e"))
    assert (files.missing, files.delimiter, files.label) == ("nan", None, "label")


MODEL, DATA = 'model = "models/mine.onnx"\n', 'data = "data/mine.npz"\n'
MISTAKES = {
    "neither": (MODEL + DATA, "", 'the key "fixture" is missing; a workload without a fixture needs both'),
    "no data": (DATA, "", 'the key "data" is missing; a workload without a fixture needs both'),
    "no model": (MODEL, "", 'the key "model" is missing'),
    "format": (
        "models/mine.onnx",
        "models/mine.pkl",
        "not a model file that is known; .param, .onnx, .xml, .pte, .tflite, .pt2 are",
    ),
    "a recipe's format": ("vendor/mine.xml", "vendor/mine.h5", "recipe.vendor]: model = 'vendor/mine.h5'"),
    "an export": ('passes = ["onnx-static-int8"]', 'passes = ["onnx"]', "exports a torch network, but the model is a"),
    "a task": ("tabular-classification", "translation", "a workload of the task translation needs a fixture"),
    "a pass": ('passes = ["onnx-static-int8"]', 'passes = ["torch"]', '"torch" exports a torch network'),
    "a share": (DATA, 'data = { file = "d.npz", training = "2" }\n', "data.training: a unit is missing"),
    "all shares": (DATA, 'data = { file = "d.npz", training = "60 %", validation = "40 %" }\n', "must leave something"),
    "both": (DATA, 'data = { file = "d.npz", evaluation = "e.npz" }\n', "gets what training and validation leave"),
    "no file": (DATA, 'data = { training = "e.npz" }\n', 'needs file = "data.npz", or evaluation'),
    "columns of no table": (
        DATA,
        'data = { file = "d.npz", inputs = { x = ["a", "b"] } }\n',
        "data.inputs.x: a list of columns is for tables (.csv, .tsv, .parquet), not for d.npz",
    ),
    "labels of no table": (DATA, 'data = { evaluation = "d.npz", label = ["a", "b"] }\n', "data.label: a list of"),
    "a delimiter of no table": (DATA, 'data = { file = "d.npz", delimiter = ";" }\n', "data.delimiter: is for tables"),
    "another delimiter": (DATA, 'data = { file = "d.csv", delimiter = "-" }\n', "delimiter"),
    "another value": (DATA, 'data = { file = "d.csv", missing = "0" }\n', "missing"),
    "a column twice": (DATA, 'data = { file = "d.csv", inputs = { x = ["a", "a"] } }\n', 'names the column "a" twice'),
    "no column": (DATA, 'data = { file = "d.csv", label = [] }\n', "label"),
    "a key": (DATA, 'data = { fil = "e.npz" }\n', "fil"),
    "a digest": (DATA, DATA + 'model_sha256 = "abc"\n', "a SHA-256"),
    "names without a file": (
        'passes = ["onnx-static-int8"]',
        'inputs = { x = "image" }',
        "inputs: names those of the recipe's own model, and it has none",
    ),
    "names before passes": (
        'model = "vendor/mine.xml"',
        'model = "vendor/mine.xml"\npasses = ["nncf"]\noutputs = { y = "scores" }',
        '"nncf" needs a file with the workload\'s own names',
    ),
    "axes twice": (
        'model = "vendor/mine.xml"',
        'model = "vendor/mine.xml"\ninputs = { x = { name = "image", axes = [0, 2, 2] } }',
        "must name each axis once, from 0 to 2",
    ),
    "another batch axis": (
        'model = "vendor/mine.xml"',
        'model = "vendor/mine.xml"\ninputs = { x = { name = "image", axes = [1, 0] } }',
        "must begin with 0, the batch",
    ),
    "a key of a name": (
        'model = "vendor/mine.xml"',
        'model = "vendor/mine.xml"\ninputs = { x = { nam = "image" } }',
        "nam",
    ),
    "a recipe's digest": (
        'passes = ["onnx-static-int8"]',
        f'model_sha256 = "{"0" * 64}"',
        "pins the recipe's own model",
    ),
}


@pytest.mark.parametrize(("old", "new", "said"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in TEXT
    with pytest.raises(SpecError) as error:
        read(tmp_path, TEXT.replace(old, new))
    assert any(said in problem for problem in error.value.problems), error.value.problems
    assert all(problem.startswith("kpis.toml") for problem in error.value.problems)


METRIC = '\n[metric."recall.worst"]\nfunction = "metrics.py:worst"\nof = "set"\nunit = "%"\n'
USED = ('"size" = "< 1 MB"', '"recall.worst" = ">= 80 %"')


def test_a_metric_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "metrics.py").write_text("def worst(outputs, labels): return 1.0\n", encoding="utf-8")
    spec = read(tmp_path, TEXT.replace(*USED) + METRIC)
    metric = next(target.metric for target in spec.targets if target.metric_name == "recall.worst")
    assert (metric.kind(), metric.range, metric.better) == ("recall", (0.0, 1.0), "higher")
    # Another file does not know it.
    with pytest.raises(SpecError, match="unknown metric"):
        read(tmp_path, TEXT.replace(*USED))


METRIC_MISTAKES = {
    "file": ("metrics.py:worst", "other.py:worst", "there is no file other.py"),
    "function": ("metrics.py:worst", "worst", "write the file and the function"),
    "name": ('"recall.worst"', '"Worst"', "a kind, a dot and a name"),
    "taken": ('"recall.worst"', '"accuracy.top1"', "there is a metric accuracy.top1 already"),
    "of": ('of = "set"', 'of = "batch"', "of = 'batch'"),
    "range": ('unit = "%"', "range = [1, 0]", "must grow"),
    "key": ('of = "set"', 'off = "set"', "off"),
}


@pytest.mark.parametrize(("old", "new", "said"), METRIC_MISTAKES.values(), ids=METRIC_MISTAKES)
def test_mistakes_of_a_metric(tmp_path: Path, old: str, new: str, said: str) -> None:
    (tmp_path / "metrics.py").write_text("def worst(outputs, labels): return 1.0\n", encoding="utf-8")
    with pytest.raises(SpecError) as error:
        read(tmp_path, TEXT + METRIC.replace(old, new))
    assert len(error.value.problems) == 1, error.value.problems
    assert said in error.value.problems[0]


TOKENS = '\n[workload.mine.preprocess]\ntokenizer = "bert"\n'
SOUNDS = "\n[workload.mine.preprocess]\nrate = 16000\nseconds = 1\n"


def test_one_key_tells_how_samples_are_read(tmp_path: Path) -> None:
    def found(text: str) -> object:
        files = read(tmp_path, TEXT + text).workloads["mine"].data_files
        assert files is not None
        return files.preprocess

    place = tmp_path / "bert"
    assert found(TOKENS + "length = 128\n") == TextPreprocess(place, lengths=(128,))
    pair = 'text = ["premise", "hypothesis"]\nbuckets = [32, 64]\npad = "<pad>"\n'
    assert found(TOKENS + pair) == TextPreprocess(place, ("premise", "hypothesis"), None, (32, 64), "<pad>")
    assert found(TOKENS + 'words = "tokens"\nlength = "each"\n') == TextPreprocess(place, words="tokens")
    assert found(SOUNDS) == RecordingPreprocess(16000, 1.0)
    assert found("\n[workload.mine.preprocess]\nsize = 224\n") == Preprocess((224, 224))


PREPROCESS_MISTAKES = {
    "no length": (TOKENS, 'the key "length" is missing: 128, or "each"'),
    "a length": (TOKENS + 'length = "all"\n', "preprocess.length = 'all': must be"),
    "length and buckets": (TOKENS + "length = 8\nbuckets = [8, 16]\n", "are several lengths; leave out `length`"),
    "buckets": (TOKENS + "buckets = [16, 8]\n", "preprocess.buckets: must grow, not [16, 8]"),
    "no buckets": (TOKENS + "buckets = []\n", "preprocess.buckets"),
    "text and words": (TOKENS + 'text = "a"\nwords = "b"\nlength = 8\n', "as a list of `words`, not as both"),
    "three texts": (TOKENS + 'text = ["a", "b", "c"]\nlength = 8\n', "preprocess.text"),
    "a key": (TOKENS + "lenght = 8\nlength = 8\n", 'unknown key "lenght" in preprocess'),
    "another form's key": (SOUNDS + "size = 3\n", 'unknown key "size" in preprocess'),
    "no seconds": ("\n[workload.mine.preprocess]\nrate = 8000\n", 'the key "preprocess.seconds" is missing'),
    "seconds": (SOUNDS.replace("seconds = 1", "seconds = 0"), "preprocess.seconds = 0: must be above 0"),
    "a rate": (SOUNDS.replace("16000", '"16 kHz"'), "preprocess.rate = '16 kHz': must be a whole number"),
    "neither": ("\n[workload.mine.preprocess]\nlength = 8\n", 'unknown key "length" in preprocess'),
    "no table": ("preprocess = 3\n", "preprocess = 3: must be a table"),
}


@pytest.mark.parametrize(("text", "said"), PREPROCESS_MISTAKES.values(), ids=PREPROCESS_MISTAKES)
def test_mistakes_of_preprocess(tmp_path: Path, text: str, said: str) -> None:
    whole = TEXT.replace(DATA, DATA + text) if text.startswith("preprocess") else TEXT + text
    with pytest.raises(SpecError) as error:
        read(tmp_path, whole)
    assert any(said in problem for problem in error.value.problems), error.value.problems
    assert all(problem.startswith("kpis.toml:") for problem in error.value.problems)


def test_a_task_of_tags_names_them(tmp_path: Path) -> None:
    def with_task(task: str) -> str:
        return TEXT.replace('"tabular-classification"', task).replace('"accuracy.top1"', '"accuracy.entity_f1"')

    table = '{ name = "token-classification", tags = ["O", "B-A", "I-A"] }'
    options = read(tmp_path, with_task(table)).workloads["mine"].task_options
    assert options == {"tags": ["O", "B-A", "I-A"], "scheme": "IOB2", "strict": False}
    for task, said in {
        '"token-classification"': 'the key "tags" is missing',
        '{ name = "token-classification", tags = ["O", "A"] }': "is not of the scheme IOB2",
        '{ name = "token-classification", tags = ["O", "B-A"], schema = "IOB2" }': 'unknown key "schema"',
        '{ name = "token-classification", tags = "O" }': "tags",
    }.items():
        with pytest.raises(SpecError, match=re.escape(said)):
            read(tmp_path, with_task(task))
