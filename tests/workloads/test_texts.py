"""Texts in JSON lines as data: what the tokenizer makes of them, lengths, labels, and every likely mistake."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from harness.core.data_files import DataFiles, RecordingPreprocess, TextPreprocess
from harness.core.errors import KpiError, Unavailable
from harness.workloads.base import Settings
from harness.workloads.checks import checked, described
from harness.workloads.files.arrays import ArraySamples
from harness.workloads.files.opening import open_samples
from harness.workloads.files.samples import Samples
from harness.workloads.files.signature import read_signature
from harness.workloads.files.texts import TextSamples
from harness.workloads.files.workload import FileWorkload
from tests.support.model_files import (
    file_settings,
    plain_settings,
    save,
    tagger,
    text_classifier,
    words_tokenizer,
    write_lines,
)
from tests.support.project import ROOT

TEXTS = ["good film", "a very bad film indeed", "good", "bad bad bad bad bad bad bad bad bad", "so so", "a good one"]
ROWS = [
    {"text": text, "label": "good" if "good" in text else "bad", "source": f"s{n % 2}"} for n, text in enumerate(TEXTS)
]
CLASSES = ("bad", "good")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = words_tokenizer(tmp_path / "tokenizer.json", TEXTS)
    text_classifier(tmp_path / "m.onnx", np.eye(made.get_vocab_size(), 2, dtype=np.float32))
    write_lines(tmp_path / "d.jsonl", ROWS)
    return tmp_path


def how(folder: Path, *lengths: int, **more: Any) -> TextPreprocess:
    return TextPreprocess(folder / "tokenizer.json", lengths=lengths, **more)


def opened(folder: Path, *lengths: int, **more: Any) -> TextSamples:
    given = {key: more.pop(key) for key in ("text", "words", "pad") if key in more}
    settings = {"classes": CLASSES, "cluster": "source", **more}
    data = DataFiles(folder / "d.jsonl", preprocess=how(folder, *lengths, **given), **settings)
    found = open_samples(folder / "d.jsonl", read_signature(folder / "m.onnx"), "m.onnx", data)
    assert isinstance(found, TextSamples)
    return found


def test_texts_are_padded_and_cut(folder: Path) -> None:
    found = opened(folder, 6)
    made = found.take(slice(0, 6))
    assert made["input_ids"].shape == (6, 6)
    assert made["input_ids"].dtype == np.int64
    from tokenizers import Tokenizer

    plain = Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert made["input_ids"][0].tolist() == [*plain.encode(TEXTS[0]).ids, 0, 0]
    assert made["attention_mask"][0].tolist() == [1, 1, 1, 1, 0, 0]
    # The special token at the end is kept.
    assert made["input_ids"][3].tolist()[-1] == plain.token_to_id("[SEP]")
    assert found.remarks == ("of 6 texts in d.jsonl 2 are longer than 6 tokens and were cut",)
    assert found.shapes is None
    assert found.labels is not None
    assert found.labels.tolist() == [1, 0, 1, 0, 0, 1]
    assert found.clusters == ["s0", "s1"] * 3
    assert found.slices is None


def test_buckets_hold_texts_of_their_length(folder: Path) -> None:
    found = opened(folder, 4, 8)
    assert found.shapes == [4, 8, 4, 8, 4, 8]
    assert found.take(np.array([0, 2, 4]))["input_ids"].shape == (3, 4)
    assert found.take(np.array([3]))["input_ids"].shape == (1, 8)
    assert "1 are longer than 8 tokens" in found.remarks[0]
    (ids, _) = found.specs
    assert (ids.shape, ids.varies) == ((8,), (0,))
    with pytest.raises(KpiError, match="texts of 2 lengths can't be in one batch"):
        found.take(slice(0, 2))


def test_each_text_is_as_long_as_it_is(folder: Path) -> None:
    found = opened(folder)
    assert found.one_by_one
    assert found.shapes == [4, 7, 3, 11, 4, 5]
    assert found.take(np.array([3]))["attention_mask"].tolist() == [[1] * 11]
    assert not found.remarks


def test_padding_is_what_the_file_says(tmp_path: Path) -> None:
    made = words_tokenizer(tmp_path / "tokenizer.json", TEXTS, padding=True)
    text_classifier(tmp_path / "m.onnx", np.eye(made.get_vocab_size(), 2, dtype=np.float32))
    write_lines(tmp_path / "d.jsonl", ROWS)
    found = opened(tmp_path, 6).take(slice(0, 1))
    assert found["attention_mask"].tolist() == [[0, 0, 1, 1, 1, 1]]
    # Settings next to it say more than the file itself.
    settings = {"padding_side": "right", "pad_token": {"content": "[UNK]"}}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    assert opened(tmp_path, 6).take(slice(0, 1))["attention_mask"].tolist() == [[1, 1, 1, 1, 0, 0]]
    assert opened(tmp_path, 6, pad="film").take(slice(2, 3))["input_ids"][0, -1] == made.token_to_id("film")


def test_the_same_as_transformers(folder: Path) -> None:
    from transformers import PreTrainedTokenizerFast

    library = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"), pad_token="[PAD]")
    pairs = [("good film", "so bad one indeed so"), ("a", "film")]
    write_lines(folder / "d.jsonl", [{"premise": a, "hypothesis": b} for a, b in pairs])
    names = ("input_ids", "attention_mask", "token_type_ids")
    nodes = [helper.make_node("Sum", [f"f{n}" for n in range(3)], ["y"])]
    nodes = [helper.make_node("Cast", [name], [f"f{n}"], to=1) for n, name in enumerate(names)] + nodes
    save(folder / "m.onnx", nodes, {name: ["n", 8] for name in names}, {"y": ["n", 8]}, {}, dtype=TensorProto.INT32)
    found = opened(folder, 8, text=("premise", "hypothesis"))
    made = found.take(slice(0, 2))
    wanted = library(
        *map(list, zip(*pairs, strict=True)), padding="max_length", truncation=True, max_length=8, return_tensors="np",
        return_token_type_ids=True,
    )  # fmt: skip
    for name in names:
        assert made[name].dtype == np.int32
        np.testing.assert_array_equal(made[name], wanted[name])
    assert found.labels is None
    assert "1 are longer" in found.remarks[0]


def test_words_have_labels_at_their_first_token(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    made = Tokenizer(models.BPE(unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.train_from_iterator(
        ["ab"], trainers.BpeTrainer(special_tokens=["[PAD]", "[UNK]"], initial_alphabet=list("abc"))
    )
    made.save(str(tmp_path / "tokenizer.json"))
    tagger(tmp_path / "m.onnx", np.eye(made.get_vocab_size(), 3, dtype=np.float32))
    rows = [{"tokens": ["ab", "cac"], "tags": ["O", "B"]}, {"tokens": ["b", "ccc", "a"], "tags": [0, 2, 1]}]
    write_lines(tmp_path / "d.jsonl", rows)
    found = opened(tmp_path, 4, words="tokens", classes=("O", "B", "I"))
    assert found.labels is not None
    assert found.labels.tolist() == [[0, 1, -100, -100], [0, 2, -100, -100]]
    cut, lost = found.remarks
    assert "of 2 lists of words in d.jsonl 1 are longer than 4 tokens" in cut
    assert lost == "of 5 words 1 are beyond the cut or have no token: they are not judged"
    longer = opened(tmp_path, 3, 6, words="tokens", classes=("O", "B", "I"))
    assert longer.labels is not None
    assert longer.labels.tolist() == [[0, 1, -100, -100, -100, -100], [0, 2, -100, -100, 1, -100]]


def test_a_workload_of_texts(folder: Path, tmp_path: Path) -> None:
    data = DataFiles(folder / "d.jsonl", preprocess=how(folder, 4, 8), classes=CLASSES, training=0.4, validation=0)
    kept = file_settings("text-classification", folder / "m.onnx", data, tmp_path / "cache")
    assert Settings.from_json(plain_settings(kept)) == kept
    made = checked(FileWorkload(kept), tmp_path)
    assert isinstance(made, FileWorkload)
    fingerprint, _, names = described(made, tmp_path)
    assert names == ["input_ids", "attention_mask"]
    training, evaluation = made.split("training"), made.split("evaluation")
    assert (len(training), len(evaluation)) == (2, 4)
    assert evaluation.shapes is not None
    for row, size in enumerate(evaluation.shapes):
        assert evaluation.inputs(row, row + 1)["input_ids"].shape == (1, size)
    words_tokenizer(folder / "tokenizer.json", [*TEXTS, "indeed " * 9])  # the same words, numbered otherwise
    assert FileWorkload(kept).fingerprint() != fingerprint
    each = replace(kept, data_files=replace(data, preprocess=how(folder)))
    assert FileWorkload(each).one_by_one


MISTAKES: dict[str, tuple[list[Any], dict[str, Any], str]] = {
    "no text": ([{"sentence": "a"}], {}, r'd\.jsonl, line 1: "text" is missing, there are sentence.*text = "text"'),
    "a number": ([{"text": 3}], {}, r'line 1: "text" is 3, not text'),
    "words": ([{"text": ["a", "b"]}], {}, r'not text .*a list of words: words = "\.\.\."'),
    "null": ([{"text": "a"}, {"text": None}], {}, r'line 2: "text" is null'),
    "a label": ([{"text": "a", "label": "ugly"}], {}, r'line 1: "label": unknown class "ugly"'),
    "no names": ([{"text": "a", "label": "good"}], {"classes": ()}, r"nothing says which number.*classes = \["),
    "a class too many": ([{"text": "a", "label": 2}], {}, "is 2, there are 2 classes, counted from 0"),
    "a missing label": ([{"text": "a", "label": 1}, {"text": "a"}], {}, r'line 2: "label" is missing'),
    "a list": ([["a"]], {}, r"line 1 is \[\"a\"\], not an object"),
    "empty": ([], {}, r"d\.jsonl has no samples"),
    "no words": ([{"text": "a", "tokens": []}], {"words": "tokens"}, r'"tokens" is \[\], not a list of words'),
    "tags": ([{"w": ["a"], "tags": [0, 1]}], {"words": "w"}, r'"tags" has 2 labels for 1 words'),
    "a fraction": ([{"w": ["a"], "tags": [0.5]}], {"words": "w"}, r"holds 0\.5, not a class"),
    "a token": ([{"text": "a"}], {"pad": "[NO]"}, r'has no token "\[NO\]"'),
    "an input": ([{"text": "a"}], {"inputs": {"input_ids": "ids"}}, r"a tokenizer gives input_ids, attention_mask"),
}


@pytest.mark.parametrize(("rows", "keys", "said"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_are_told(folder: Path, rows: list[Any], keys: dict[str, Any], said: str) -> None:
    (folder / "d.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with pytest.raises(KpiError, match=said) as error:
        _ = opened(folder, 8, **{"cluster": "cluster", **keys}).labels
    assert "\n" not in str(error.value)


FILES: dict[str, tuple[str, bytes | None, tuple[int, ...], str]] = {
    "not JSON": ("d.jsonl", b'{"text": "a"}\n{"text"\n', (8,), r"d\.jsonl, line 2 is not JSON"),
    "not UTF-8": ("d.jsonl", b'{"text": "\xff"}\n', (8,), r"d\.jsonl is not UTF-8: byte 10"),
    "no tokenizer": ("tokenizer.json", None, (8,), r"tokenizer .*tokenizer\.json is not here"),
    "a broken one": ("tokenizer.json", b'{"a": 1}', (8,), "is not a tokenizer, or a damaged one"),
    "settings": ("tokenizer_config.json", b"{", (8,), r"tokenizer_config\.json is not JSON"),
    "too short": ("x", b"", (2,), "2 tokens leave no room for text: 2 of them are special"),
    "other lengths": ("m.onnx", b"6", (8,), r"takes input_ids \(int64 \?x6\), preprocess makes \?x8 .*set length = 6"),
    "no length": ("m.onnx", b"6", (), r"takes input_ids \(int64 \?x6\).*set length = 6"),
}


@pytest.mark.parametrize(("name", "content", "lengths", "said"), FILES.values(), ids=FILES)
def test_files_that_do_not_fit(
    folder: Path, name: str, content: bytes | None, lengths: tuple[int, ...], said: str
) -> None:
    if name == "m.onnx" and content:
        text_classifier(folder / name, np.eye(20, 2, dtype=np.float32), int(content))
    elif content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content)
    with pytest.raises(KpiError, match=said):
        opened(folder, *lengths)


def test_a_tokenizer_without_a_token_to_pad_with(folder: Path) -> None:
    text = (folder / "tokenizer.json").read_text(encoding="utf-8").replace("[PAD]", "[NONE]")
    (folder / "tokenizer.json").write_text(text, encoding="utf-8")
    with pytest.raises(KpiError, match=r'does not say which token fills texts up.*pad = "\[PAD\]"'):
        opened(folder, 8)
    assert opened(folder).shapes
    assert opened(folder, 8, pad="[NONE]").take(slice(2, 3))["input_ids"][0, -1] == 0


def test_older_files_are_read_by_transformers(tmp_path: Path) -> None:
    place = tmp_path / "bert"
    place.mkdir()
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad", "film"]
    (place / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    (place / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}', encoding="utf-8")
    text_classifier(tmp_path / "m.onnx", np.eye(8, 2, dtype=np.float32))
    write_lines(tmp_path / "d.jsonl", ROWS)
    data = DataFiles(tmp_path / "d.jsonl", preprocess=TextPreprocess(place, lengths=(6,)))
    found = open_samples(tmp_path / "d.jsonl", read_signature(tmp_path / "m.onnx"), "m.onnx", data)
    assert found.take(slice(0, 1))["input_ids"].tolist() == [[2, 5, 7, 3, 0, 0]]
    (place / "vocab.txt").unlink()
    (place / "tokenizer_config.json").unlink()
    with pytest.raises(Unavailable, match=r"holds no tokenizer\.json"):
        open_samples(tmp_path / "d.jsonl", read_signature(tmp_path / "m.onnx"), "m.onnx", data)


def plain(folder: Path, rows: list[dict[str, Any]], **keys: Any) -> Samples:
    nodes = [helper.make_node("Add", ["x", "x"], ["y"])]
    save(folder / "x.onnx", nodes, {"x": ["n", 3]}, {"y": ["n", 3]}, {})
    write_lines(folder / "x.jsonl", rows)
    return open_samples(folder / "x.jsonl", read_signature(folder / "x.onnx"), "x.onnx", DataFiles(**keys))


def test_lines_may_hold_arrays(tmp_path: Path) -> None:
    found = plain(
        tmp_path,
        [{"x": [1, 2, 3], "label": "b", "slice": "day"}, {"x": [0.5, 0, 1], "label": "a", "slice": "night"}],
        classes=("a", "b"),
    )
    assert isinstance(found, ArraySamples)
    assert found.take(slice(0, 2))["x"].dtype == np.float32
    assert found.labels is not None
    assert found.labels.tolist() == [1, 0]
    assert found.slices == ["day", "night"]
    with pytest.raises(KpiError, match=r'x\.jsonl, line 2: "x" has the shape \(2,\), that of the first line \(3,\)'):
        plain(tmp_path, [{"x": [1, 2, 3]}, {"x": [1, 2]}])
    with pytest.raises(KpiError, match=r'line 1: "x" is \[1, "a", 2\], not a number'):
        plain(tmp_path, [{"x": [1, "a", 2]}])
    with pytest.raises(KpiError, match='has no array "x", it has'):
        plain(tmp_path, [{"y": [1, 2, 3]}])


def test_texts_need_no_torch(folder: Path) -> None:
    program = f"""
import sys
from pathlib import Path
from harness.core.data_files import DataFiles, TextPreprocess
from harness.workloads.files.opening import open_samples
from harness.workloads.files.signature import read_signature
place = Path({str(folder)!r})
data = DataFiles(place / "d.jsonl", preprocess=TextPreprocess(place, lengths=(4, 8)))
found = open_samples(place / "d.jsonl", read_signature(place / "m.onnx"), "m.onnx", data)
print(found.shapes, {{"torch", "transformers"}} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[4, 8, 4, 8, 4, 8] set()"


def test_what_is_not_installed_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = folder / "old"
    place.mkdir()
    (place / "vocab.txt").write_text("[PAD]\n", encoding="utf-8")
    data = DataFiles(folder / "d.jsonl", preprocess=TextPreprocess(place, lengths=(6,)))
    signature = read_signature(folder / "m.onnx")
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(Unavailable, match=r"old holds no tokenizer\.json, and transformers.*pip install transformers"):
        open_samples(folder / "d.jsonl", signature, "m.onnx", data)
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(Unavailable, match="pip install tokenizers"):
        opened(folder, 6)


def test_the_form_must_fit_the_data(folder: Path) -> None:
    signature = read_signature(folder / "m.onnx")
    np.savez(folder / "d.npz", x=np.zeros(3))
    with pytest.raises(KpiError, match=r"d\.npz: texts are read from JSON lines"):
        open_samples(folder / "d.npz", signature, "m.onnx", DataFiles(preprocess=how(folder, 6)))
    sounds = RecordingPreprocess(8000, 1.0)
    with pytest.raises(KpiError, match=r"d\.jsonl is a file: recordings are in a folder"):
        open_samples(folder / "d.jsonl", signature, "m.onnx", DataFiles(preprocess=sounds))
    with pytest.raises(KpiError, match=r'no array "input_ids".*texts need \[workload\.NAME\.preprocess\]'):
        open_samples(folder / "d.jsonl", signature, "m.onnx", DataFiles())
    with pytest.raises(Unavailable, match=r"no\.jsonl is not here"):
        open_samples(folder / "no.jsonl", signature, "m.onnx", DataFiles(preprocess=how(folder, 6)))
