"""Classifiers and taggers of texts, and one of sounds, judged from their files alone, however they are padded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from onnx import helper

from tests.support.model_files import save, tagger, text_classifier, words_tokenizer, write_lines
from tests.support.project import FEW_LOOKS, Project

pytestmark = [pytest.mark.suite, pytest.mark.long]

KINDS = ("PER", "LOC")
TAGS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
HEAD = f"""
[measure]
seconds = "20 ms"
samples = 20
{FEW_LOOKS}
[machine.any-cpu]
device = "cpu"
"""
WORKLOAD = """
[workload.{name}]
task = {task}
model = "{model}.onnx"
data = {data}
reference = "as-delivered"

[workload.{name}.preprocess]
{preprocess}

[workload.{name}.recipe.as-delivered]
runtime = "onnxruntime"
{alone}

[workload.{name}.recipe.vendor]
runtime = "onnxruntime"
model = "{model}-vendor.onnx"
{alone}

[[kpi]]
name = "{name}"
workload = "{name}"
recipe = "vendor"
machine = "any-cpu"

[kpi.targets]
"latency.p50" = "< 1 s"
"throughput.offline" = ">= 1 fps"
{targets}
"""
OPENVINO = """
[workload.{name}.recipe.openvino]
runtime = {{ name = "openvino", precision = "f32" }}
passes = ["openvino"]
{alone}

[[kpi]]
name = "{name}-openvino"
workload = "{name}"
recipe = "openvino"
machine = "any-cpu"
targets = {{ "latency.p50" = "< 1 s", "throughput.offline" = ">= 1 fps", "parity.agreement" = ">= 99 %" }}
"""
ALONE = "scenario.offline = { batch = 1 }"
LENGTHS = {
    "padded": ('tokenizer = "tokenizer.json"\nlength = 20', ""),
    "buckets": ('tokenizer = "tokenizer.json"\nbuckets = [6, 12, 24]', ""),
    "each": ('tokenizer = "tokenizer.json"\nlength = "each"', ALONE),
}


@pytest.fixture
def project(tmp_path: Path, shared_store: Path) -> Project:
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers\n", encoding="utf-8")
    return Project(tmp_path, shared_store)


def judged(project: Project, text: str) -> dict[str, tuple[str, float]]:
    """Verdict and value by metric and workload; what the samples say must follow from the evidence alone."""
    project.toml.write_text(HEAD + text, encoding="utf-8")
    done = project.pytest()
    assert done.returncode in (0, 1), done.stdout + done.stderr
    again = project.recomputed()
    assert again.returncode == 0, again.stdout
    return {target["id"]: (target["verdict"], target["value"]) for target in project.evidence()["targets"]}


def test_texts_are_judged_at_every_way_to_pad(project: Project) -> None:
    chance, words = np.random.default_rng(0), [f"w{n}" for n in range(40)]
    texts = [" ".join(chance.choice(words, int(chance.integers(1, 18)))) for _ in range(500)]
    made = words_tokenizer(project.folder / "tokenizer.json", texts)
    weights = chance.normal(0, 1, (made.get_vocab_size(), 2)).astype(np.float32)
    weights[:4] = 0
    text_classifier(project.folder / "m.onnx", weights)
    text_classifier(
        project.folder / "m-vendor.onnx", weights + chance.normal(0, 0.15, weights.shape).astype(np.float32)
    )
    rows = []
    for text in texts:
        right = int(np.argmax(weights[made.encode(text).ids].mean(axis=0)))
        wrong = len(rows) % 10 == 0
        kind = "short" if len(text) < 25 else "long"
        rows.append({"text": text, "label": ("bad", "good")[right ^ wrong], "slice": kind})
    write_lines(project.folder / "d.jsonl", rows)
    targets = (
        '"accuracy.top1" = [">= 80 %", "drop <= 20 pp vs as-delivered"]\n"accuracy.top1[slice=long]" = ">= 70 %"\n'
        '"parity.relative_error" = "<= 60 %"'
    )
    text = "".join(
        WORKLOAD.format(
            name=name,
            task='"text-classification"',
            model="m",
            data='{ file = "d.jsonl", classes = ["bad", "good"], training = "10 %", validation = "0 %" }',
            preprocess=preprocess,
            alone=alone,
            targets=targets,
        )
        for name, (preprocess, alone) in LENGTHS.items()
    )
    text += "".join(OPENVINO.format(name=name, alone=alone) for name, (_, alone) in LENGTHS.items())
    found = judged(project, text)
    assert {verdict for verdict, _ in found.values()} == {"PASS"}, found
    # Whatever fills texts up: the same answers, so the same scores.
    for metric in ("top1", "top1[slice=long]", "top1-drop-as-delivered", "relative_error"):
        values = {round(found[f"{name}:{metric}"][1], 6) for name in LENGTHS}
        assert len(values) == 1, found
    batches = {
        (m["recipe"], p["batch"]) for m in project.evidence()["measurements"] for p in m["processes"]
        if m["scenario"] == "evaluate"
    }  # fmt: skip
    assert {name: batch for name, batch in batches if "vendor" in name} == {
        "padded/vendor": 16,
        "buckets/vendor": 16,
        "each/vendor": 1,
    }


def test_taggers_are_judged(project: Project) -> None:
    chance = np.random.default_rng(1)
    names = [[f"{kind.lower()}{part}{n}" for n in range(8)] for kind in KINDS for part in "bi"]
    plain = [f"w{n}" for n in range(30)]
    rows, texts = [], []
    for number in range(700):
        tokens, tags = [], []
        for _ in range(int(chance.integers(2, 6))):
            kind = int(chance.integers(0, 3))
            if kind == 2:
                tokens.append(str(chance.choice(plain)))
                tags.append("O")
            else:
                tokens += [str(chance.choice(names[2 * kind])), str(chance.choice(names[2 * kind + 1]))]
                tags += [f"B-{KINDS[kind]}", f"I-{KINDS[kind]}"]
        rows.append({"tokens": tokens, "tags": tags, "slice": "even" if number % 2 else "odd"})
        texts.append(" ".join(tokens))
    made = words_tokenizer(project.folder / "tokenizer.json", texts)
    weights = np.zeros((made.get_vocab_size(), len(TAGS)), np.float32)
    for word, number in made.get_vocab().items():
        tag = next((1 + place for place, known in enumerate(names) if word in known), 0)
        weights[number, tag] = 1
    tagger(project.folder / "m.onnx", weights)
    # It takes two names of people for plain words.
    worse = weights.copy()
    for word in names[0][:2]:
        worse[made.token_to_id(word)] = weights[made.token_to_id("w0")]
    tagger(project.folder / "m-vendor.onnx", worse)
    write_lines(project.folder / "d.jsonl", rows)
    targets = """
"accuracy.entity_f1" = [">= 60 %", "drop <= 2 pp vs as-delivered"]
"accuracy.tokens" = [">= 90 %", "drop <= 8 pp vs as-delivered"]
"accuracy.tokens[slice=even]" = ">= 90 %"
"parity.tags" = ">= 90 %"
"""
    text = "".join(
        WORKLOAD.format(
            name=name,
            task=f'{{ name = "token-classification", tags = {list(TAGS)} }}'.replace("'", '"'),
            model="m",
            data='"d.jsonl"',
            preprocess=f'words = "tokens"\n{preprocess}',
            alone=alone,
            targets=targets,
        )
        for name, (preprocess, alone) in LENGTHS.items()
    )
    found = judged(project, text)
    failed = {name for name, (verdict, _) in found.items() if verdict != "PASS"}
    assert failed == {f"{name}:entity_f1-drop-as-delivered" for name in LENGTHS}, found
    for metric in ("entity_f1", "tokens", "tags", "entity_f1-drop-as-delivered"):
        assert len({round(found[f"{name}:{metric}"][1], 6) for name in LENGTHS}) == 1, found
    scored = [m["scored_with"]["accuracy.entity_f1"] for m in project.evidence()["measurements"] if m["scored_with"]]
    assert scored[0] == {"seqeval": "1.2.2", "scheme": "IOB2", "strict": "false"}


def test_recordings_are_judged(project: Project) -> None:
    chance = np.random.default_rng(2)
    for number in range(120):
        kind = ("quiet", "loud")[number % 2]
        file = project.folder / f"sounds/{kind}/{number}.wav"
        file.parent.mkdir(parents=True, exist_ok=True)
        size = 0.05 if kind == "quiet" else 0.4
        soundfile.write(file, chance.normal(0, size, 4000 + number), 16_000 if number % 3 else 8000)
    nodes = [
        helper.make_node("Mul", ["wave", "wave"], ["power"]),
        helper.make_node("ReduceMean", ["power"], ["mean"], axes=[1], keepdims=1),
        helper.make_node("Mul", ["mean", "slope"], ["line"]),
        helper.make_node("Add", ["line", "shift"], ["logits"]),
    ]
    for name, middle in (("m", 0.02), ("m-vendor", 0.015)):
        # Classes are in the order of the folders' names: loud, quiet.
        weights = {"slope": np.array([[1, -1]], np.float32), "shift": np.array([[-middle, middle]], np.float32)}
        save(project.folder / f"{name}.onnx", nodes, {"wave": ["n", "t"]}, {"logits": ["n", 2]}, weights)
    text = WORKLOAD.format(
        name="sounds",
        task='"audio-classification"',
        model="m",
        data='"sounds"',
        preprocess="rate = 8000\nseconds = 0.25",
        alone="",
        targets='"accuracy.top1" = ">= 90 %"',
    )
    found = judged(project, text)
    assert {verdict for verdict, _ in found.values()} == {"PASS"}, found
    notes = next(t["notes"] for t in project.evidence()["targets"] if t["metric"] == "accuracy.top1")
    assert any("have another rate than 8000 and were resampled" in note for note in notes), notes
