"""Passes on samples of several lengths: calibrated, tuned and compared, all in batches of one length."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.build.passes.data import batches
from harness.build.passes.faithful import fixed_batch
from harness.build.passes.tuning import Tuning
from harness.core.data_files import DataFiles, TextPreprocess
from harness.workloads.files.workload import FileWorkload
from tests.support.model_files import file_settings, tagger, words_tokenizer, write_lines
from tests.support.small_models import apply

TAGS = ("O", "B-A", "I-A")
LENGTHS = {"padded": (12,), "buckets": (4, 8, 12), "each": ()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place, chance = tmp_path_factory.mktemp("tagger"), np.random.default_rng(0)
    words = [f"w{n}" for n in range(30)]
    kinds = {word: n % 3 for n, word in enumerate(words)}
    lines = [[str(word) for word in chance.choice(words, int(chance.integers(1, 11)))] for _ in range(300)]
    made = words_tokenizer(place / "tokenizer.json", [" ".join(line) for line in lines])
    weights = chance.normal(0, 0.2, (made.get_vocab_size(), 3)).astype(np.float32)
    for word, kind in kinds.items():
        weights[made.token_to_id(word), kind] += 1
    tagger(place / "m.onnx", weights)
    rows = [{"tokens": line, "tags": [TAGS[kinds[word]] for word in line]} for line in lines]
    write_lines(place / "d.jsonl", rows)
    return place


def workload(folder: Path, lengths: tuple[int, ...]) -> FileWorkload:
    how = TextPreprocess(folder / "tokenizer.json", words="tokens", lengths=lengths)
    data = DataFiles(folder / "d.jsonl", preprocess=how)
    options = {"tags": list(TAGS)}
    return FileWorkload(
        file_settings("token-classification", folder / "m.onnx", data, folder / "cache", task_options=options)
    )


@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
@pytest.mark.parametrize("step", ["onnx-static-int8", "nncf"])
def test_texts_of_any_length_calibrate_and_tune(
    folder: Path, tmp_path: Path, lengths: tuple[int, ...], step: str
) -> None:
    made = workload(folder, lengths)
    source, _ = apply("onnx-file", tmp_path / "file", made, file=str(folder / "m.onnx"))
    options: dict[str, Any] = {"max_drop": "2 pp", "tuning": 60, "calibration": 40}
    _, notes = apply(step, tmp_path / "int8", made, source, **options)
    assert notes["calibration"] == 40
    before = notes.get("validation_fp32", notes.get("floor", 0) + 0.02)
    # The metric is the F1 of entities, which a model this plain has in full.
    assert before == pytest.approx(1.0, abs=0.02)
    assert notes["validation"] >= before - 0.02 - 1e-6


@pytest.mark.parametrize("method", ["minmax", "entropy", "percentile"])
def test_every_way_to_take_ranges_takes_several_lengths(folder: Path, tmp_path: Path, method: str) -> None:
    made = workload(folder, LENGTHS["buckets"])
    source, _ = apply("onnx-file", tmp_path / "file", made, file=str(folder / "m.onnx"))
    _, notes = apply("onnx-static-int8", tmp_path / "int8", made, source, method=method, calibration=40)
    assert notes["calibration"] == 40


def test_the_score_is_the_same_however_texts_are_padded(folder: Path, tmp_path: Path) -> None:
    import onnxruntime as ort

    session, found = ort.InferenceSession(str(folder / "m.onnx")), {}
    noise = np.random.default_rng(1).normal(0, 0.4, (60, 3)).astype(np.float32)

    def infer(feeds: dict[str, Any]) -> dict[str, Any]:
        return {"logits": session.run(["logits"], feeds)[0] + noise[feeds["input_ids"]]}

    for name, lengths in LENGTHS.items():
        made = workload(folder, lengths)
        sizes = {feeds["input_ids"].shape[1] for feeds, _ in batches(made, "validation", 60, 16)}
        assert len(sizes) == {"padded": 1, "buckets": 3, "each": len(sizes)}[name]
        found[name] = Tuning(made, 60, fixed_batch(folder, made, "m.onnx")).begin(infer)
        assert fixed_batch(folder, made, "m.onnx") == (1 if name == "each" else None)
    assert len({round(value, 9) for value in found.values()}) == 1, found
    assert 0.3 < found["each"] < 0.99
    del tmp_path


def test_what_was_cut_is_remarked(folder: Path, tmp_path: Path) -> None:
    said: list[str] = []
    from harness.build.passes.base import PassContext

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PassContext, "remark", lambda _, text: said.append(text))
        apply("onnx-file", tmp_path / "file", workload(folder, (6,)), file=str(folder / "m.onnx"))
    whole = [json.loads(line) for line in (folder / "d.jsonl").read_text(encoding="utf-8").splitlines()]
    cut = sum(len(line["tokens"]) > 4 for line in whole)
    assert said[0] == f"of 300 lists of words in d.jsonl {cut} are longer than 6 tokens and were cut"
    assert "are beyond the cut or have no token: they are not judged" in said[1]
