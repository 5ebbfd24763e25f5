"""``kpi init`` with texts, lists of words, recordings, pictures: what it writes is read, and the task is theirs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from onnx import helper
from PIL import Image
from scipy.io import wavfile

from harness.cli.main import main
from harness.core.data_files import Preprocess, RecordingPreprocess, TextPreprocess
from harness.spec.model import WorkloadSpec
from harness.spec.reader import read_spec
from harness.workloads.files.workload import FileWorkload
from tests.support.model_files import file_settings, save, tagger, text_classifier, words_tokenizer, write_lines

TWICE = [helper.make_node("Add", ["x", "x"], ["y"])]
TEXTS = ["good film", "bad film", "very good", "very bad", "quite good film", "bad bad film"]


def init(folder: Path, model: Path, data: Path, *more: str) -> WorkloadSpec:
    """The workload that is written, its evaluation read once."""
    kpis = folder / "kpis.toml"
    assert main(["--kpis", str(kpis), "init", str(model), "--data", str(data), *more]) == 0
    spec = read_spec(kpis)
    (workload,) = spec.workloads.values()
    assert workload.data_files is not None
    options = dict(workload.task_options)
    made = FileWorkload(
        file_settings(workload.task, model, workload.data_files, folder / "cache", task_options=options)
    )
    split = made.split("evaluation")
    assert len(split.inputs(0, 1)) == len(made.input_names)
    return workload


def texts(folder: Path, **more: object) -> tuple[Path, Path]:
    words = words_tokenizer(folder / "tokenizer.json", TEXTS, padding=True)
    count = words.get_vocab_size()
    model = text_classifier(folder / "m.onnx", np.random.default_rng(0).normal(0, 1, (count, 2)).astype(np.float32))
    rows = [{"text": TEXTS[n % 6], "label": "bad" if n % 2 else "good", **more} for n in range(30)]
    return model, write_lines(folder / "d.jsonl", rows)


def test_texts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = init(tmp_path, *texts(tmp_path))
    assert found.task == "text-classification"
    assert found.data_files is not None
    how = found.data_files.preprocess
    assert isinstance(how, TextPreprocess)
    assert (how.tokenizer, how.text, how.lengths) == (tmp_path / "tokenizer.json", ("text",), (128,))
    assert found.data_files.classes == ("bad", "good")
    said = capsys.readouterr().out
    assert "classes are in the order of their names" in said
    assert "length = 128" in said


def test_the_models_card_orders_the_classes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, data = texts(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"id2label": {"0": "good", "1": "bad"}}), encoding="utf-8")
    found = init(tmp_path, model, data)
    assert found.data_files is not None
    assert found.data_files.classes == ("good", "bad")
    assert "in the order of their names" not in capsys.readouterr().out


def test_a_tokenizer_may_be_elsewhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, data = texts(tmp_path)
    (tmp_path / "other").mkdir()
    (tmp_path / "tokenizer.json").rename(tmp_path / "other" / "tokenizer.json")
    kpis = ["--kpis", str(tmp_path / "kpis.toml")]
    assert main([*kpis, "init", str(model), "--data", str(data)]) != 0
    said = capsys.readouterr().err
    assert "holds texts, and no tokenizer.json is next to m.onnx" in said
    assert "--tokenizer" in said
    found = init(tmp_path, model, data, "--tokenizer", str(tmp_path / "other" / "tokenizer.json"))
    assert found.data_files is not None
    assert isinstance(found.data_files.preprocess, TextPreprocess)


def words(folder: Path, tags: list[object]) -> tuple[Path, Path]:
    made = words_tokenizer(folder / "tokenizer.json", ["Ada wrote"], padding=True)
    model = tagger(folder / "m.onnx", np.zeros((made.get_vocab_size(), 3), np.float32))
    return model, write_lines(
        folder / "d.jsonl", [{"tokens": ["Ada", "wrote", str(n)], "ner_tags": tags} for n in range(30)]
    )


def test_lists_of_words(tmp_path: Path) -> None:
    found = init(tmp_path, *words(tmp_path, ["B-PER", "O", "O"]))
    assert found.task == "token-classification"
    assert list(found.task_options["tags"]) == ["O", "B-PER"]
    assert found.data_files is not None
    assert found.data_files.label == "ner_tags"
    assert isinstance(found.data_files.preprocess, TextPreprocess)
    assert found.data_files.preprocess.words == "tokens"


def test_numbers_of_tags_need_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, data = words(tmp_path, [1, 0, 0])
    assert main(["--kpis", str(tmp_path / "kpis.toml"), "init", str(model), "--data", str(data)]) != 0
    assert '"ner_tags" holds numbers, and nothing says what they are called' in capsys.readouterr().err
    names = {"id2label": {"0": "O", "1": "B-PER", "2": "I-PER"}}
    (tmp_path / "config.json").write_text(json.dumps(names), encoding="utf-8")
    assert list(init(tmp_path, model, data).task_options["tags"]) == ["O", "B-PER", "I-PER"]


def test_lines_of_numbers_are_arrays(tmp_path: Path) -> None:
    model = save(
        tmp_path / "m.onnx", [helper.make_node("Add", ["x", "x"], ["y"])], {"x": ["n", 3]}, {"y": ["n", 3]}, {}
    )
    data = write_lines(
        tmp_path / "d.jsonl", [{"x": [0.5, n / 30, 1.5], "label": n % 3, "text": "?"} for n in range(30)]
    )
    assert init(tmp_path, model, data).task == "tabular-classification"


@pytest.mark.parametrize(("length", "seconds"), [("time", 0.5), (800, 0.1)])
def test_recordings(tmp_path: Path, length: int | str, seconds: float) -> None:
    for number in range(20):
        place = tmp_path / "sounds" / ("yes" if number % 2 else "no")
        place.mkdir(parents=True, exist_ok=True)
        wave = np.random.default_rng(number).integers(-9000, 9000, 4000).astype(np.int16)
        wavfile.write(place / f"{number}.wav", 8000, wave)
    nodes = [
        helper.make_node("ReduceMean", ["wave"], ["mean"], axes=[1], keepdims=1),
        helper.make_node("Neg", ["mean"], ["other"]),
        helper.make_node("Concat", ["mean", "other"], ["y"], axis=1),
    ]
    model = save(tmp_path / "m.onnx", nodes, {"wave": ["n", length]}, {"y": ["n", 2]}, {})
    found = init(tmp_path, model, tmp_path / "sounds")
    assert found.task == "audio-classification"
    assert found.data_files is not None
    assert found.data_files.preprocess == RecordingPreprocess(8000, seconds)


def test_pictures_in_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(20):
        place = tmp_path / "pictures" / ("cat" if number % 2 else "dog")
        place.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (30 + number, 20)).save(place / f"{number}.png")
    nodes = [helper.make_node("ReduceMean", ["image"], ["y"], axes=[2, 3], keepdims=0)]
    model = save(tmp_path / "m.onnx", nodes, {"image": ["n", 3, 24, 32]}, {"y": ["n", 3]}, {})
    found = init(tmp_path, model, tmp_path / "pictures")
    assert found.task == "image-classification"
    assert found.data_files is not None
    assert found.data_files.preprocess == Preprocess((24, 32))
    assert "classes are in the order of their names" in capsys.readouterr().out


def test_a_folder_of_neither_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    model = save(
        tmp_path / "m.onnx", [helper.make_node("Add", ["x", "x"], ["y"])], {"x": ["n", 3]}, {"y": ["n", 3]}, {}
    )
    assert main(["--kpis", str(tmp_path / "kpis.toml"), "init", str(model), "--data", str(tmp_path / "empty")]) != 0
    assert "holds neither pictures nor recordings" in capsys.readouterr().err
