"""Extractive question answering on the whole way: trained with quantizers, served in three ways, killed, resumed."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path
from typing import Any

import pytest

from harness.core.errors import KpiError, Unavailable
from harness.tasks.question_answering.scoring.questions import read_squad
from tests.support.project import Project, copied_project


@pytest.fixture
def questions(tmp_path: Path, shared_store: Path) -> Project:
    return copied_project("questions", tmp_path, shared_store)


def steps(project: Project, name: str) -> list[dict[str, Any]]:
    """What the store holds of a pass: digest, notes."""
    manifests = [json.loads(p.read_text(encoding="utf-8")) for p in (project.store / "objects").glob("*/manifest.json")]
    return [m for m in manifests if m["notes"].get("step", {}).get("pass") == name]


@pytest.mark.suite
@pytest.mark.long
def test_trained_with_quantizers_and_served_in_three_ways(questions: Project) -> None:
    done = questions.pytest(timeout=1200)
    verdicts = questions.verdicts()
    # A model of sixty sentences settles no comparison.
    assert verdicts.pop("qat:f1-drop-control") in {"PASS", "INCONCLUSIVE"}, done.stdout
    assert set(verdicts.values()) == {"PASS"}, done.stdout
    evidence = questions.evidence()
    proofs = {m["recipe"]: m["processes"][-1]["proof"] for m in evidence["measurements"] if m["scenario"] == "extract"}
    assert proofs["questions/qat"]["precision"] == "int8+f32"
    assert proofs["questions/control"]["precision"] == "f32"
    assert proofs["questions/qat-optimum"]["runtime"] == "optimum-intel"
    assert proofs["questions/qat-served"]["runtime"] == "mlserver over grpc"
    load = next(m for m in evidence["measurements"] if m["scenario"] == "server" and "served" in m["recipe"])
    assert {process["details"]["concurrency"] for process in load["processes"]} == {4}
    results = json.loads((questions.folder / ".kpi/latest/results/questions-qat.json").read_text(encoding="utf-8"))
    assert len(results) == 60
    assert {"id", "question", "answer", "start", "end", "accepted"} <= set(results[0])
    # What differs from the reference is named.
    parity = next(t for t in evidence["targets"] if t["id"] == "int8:span")
    assert parity["notes"]
    assert any(note.startswith("evaluation-") and "the reference" in note for note in parity["notes"])
    trained = [m["notes"]["step"]["notes"] for m in steps(questions, "qat")]
    assert all(0 <= notes["validation"]["f1"] <= 1 and notes["steps"] == 140 for notes in trained)
    (exported,) = [m["notes"]["step"]["notes"] for m in steps(questions, "qat-onnx")]
    assert exported["quantized_weights"] + exported["quantized_activations"] == 33
    assert exported["quantized_weights"] >= 13


# So that a short training is stopped in the middle, as a long one would be.
SAVES_EACH_STEP = """
import os
import time

from harness.build.passes import training

training._SAVE_S = 0.0
_save = training._save


def _save_and_linger(*arguments):
    _save(*arguments)
    time.sleep(float(os.environ.get("LINGER_S", "0")))


training._save = _save_and_linger
"""


@pytest.mark.suite
@pytest.mark.long
def test_a_killed_training_goes_on_to_the_same_artifact(questions: Project, tmp_path: Path) -> None:
    questions.change("epochs = 20", "epochs = 4")
    with (questions.folder / "fixtures/questions/__init__.py").open("a", encoding="utf-8") as file:
        file.write(SAVES_EACH_STEP)
    digests = []
    for kind in ("killed", "undisturbed"):
        store = tmp_path / kind
        project = Project(questions.folder, store)
        if kind == "killed":

            def saved(store: Path = store) -> bool:
                return any((store / "building").glob("work-*/state.pt"))

            project.environment["LINGER_S"] = "1"
            project.stop_when(saved, signal.SIGKILL, "-k", "qat and ops")
            assert saved()
            assert not steps(project, "qat")
            del project.environment["LINGER_S"]
        done = project.pytest("-k", "qat and ops", timeout=600)
        assert done.returncode == 0, done.stdout
        digests.append([steps(project, name)[0]["digest"] for name in ("qat", "qat-openvino")])
        assert not list((store / "building").glob("work-*"))
    assert digests[0] == digests[1]


@pytest.mark.suite
@pytest.mark.long
def test_compiled_quantizers_train_as_those_of_torch_do(questions: Project, tmp_path: Path) -> None:
    questions.change("epochs = 20", "epochs = 2")
    trained = []
    for kind in ("false", "true"):
        project = Project(questions.folder, tmp_path / kind)
        project.change("compiled = false", f"compiled = {kind}")
        done = project.pytest("-k", "qat and ops", timeout=600)
        assert done.returncode == 0, done.stdout
        assert any((project.store / "data").rglob("*.so")) is (kind == "true")
        trained.append(steps(project, "qat")[0]["notes"]["step"]["notes"])
    # The same arithmetic in another order.
    assert trained[0]["loss"] == pytest.approx(trained[1]["loss"], rel=0.05)


def serve_badly(questions: Project, fault: str) -> None:
    """A server with a fault, of what was not trained: that takes minutes and is not what is tested."""
    toml = questions.toml.read_text(encoding="utf-8")
    before, header, after = toml.partition("[workload.questions.recipe.qat-served]\n")
    untrained = 'passes = ["onnx", "openvino", { pass = "nncf", calibration = 16, model_type = "transformer" }]'
    after = re.sub(r"^passes = .*$", untrained, after, count=1, flags=re.MULTILINE)
    after = after.replace('reference = "qat"', 'reference = "int8"', 1)
    questions.toml.write_text(before + header + after, encoding="utf-8")
    questions.change("harness.measure.servers.open_inference", "tests.support.faulty_server")
    questions.environment["FAULT"] = fault


@pytest.mark.suite
@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("nan", "failed: "),  # this server can't even send it
        ("huge", "answers start_logits with NaN or infinity on"),
    ],
)
def test_a_server_that_answers_no_number_is_an_error_of_one_line(questions: Project, fault: str, said: str) -> None:
    serve_badly(questions, fault)
    done = questions.pytest("-k", "served and span", timeout=600)
    assert done.returncode == 1
    assert questions.verdicts()["served:span"] == "ERROR"
    assert said in " ".join(done.stdout.split())
    assert "Traceback" not in done.stdout


@pytest.mark.suite
def test_a_server_that_dies_under_load_is_an_error_and_the_rest_goes_on(questions: Project) -> None:
    serve_badly(questions, "die-later")
    done = questions.pytest("-k", "(served and throughput) or (int8 and f1)", timeout=600)
    assert done.returncode == 1
    verdicts = questions.verdicts()
    assert verdicts["served:throughput"] == "ERROR"
    assert verdicts["int8:f1-drop-fp32"] == "PASS", done.stdout
    assert "model server ended with exit code 7" in " ".join(done.stdout.split())


def squad(context: str = "Anna lives in Rome.", **question: Any) -> str:
    asked = {"id": "q1", "question": "Where?", "answers": [{"text": "Rome", "answer_start": 14}], **question}
    return json.dumps({"data": [{"paragraphs": [{"context": context, "qas": [asked]}]}]})


GOOD = {
    "squad.json": squad(),
    "unanswerable.json": squad(answers=[], is_impossible=True),
    "lines.jsonl": '{"id": 1, "context": "a b", "question": "c", "answers": {"text": ["b"], "answer_start": [2]}}\n\n',
    "one.jsonl": '{"id": 1, "context": "a b", "question": "c"}',
}


@pytest.mark.parametrize("name", GOOD)
def test_questions_are_read(name: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_bytes(b"\xef\xbb\xbf" + GOOD[name].encode())
    (found,) = read_squad(file)
    assert all(found.context[start : start + len(text)] == text for text, start in found.answers)
    assert len(found.answers) == (name in {"squad.json", "lines.jsonl"})


WRONG = {
    squad(answers=[{"text": "Oslo", "answer_start": 14}]): "the answer 'Oslo' is not at 14 of its context",
    squad(answers=[{"text": "Rome", "answer_start": 3}]): "the answer 'Rome' is not at 3 of its context",
    squad(answers=[{"text": "Rome", "answer_start": -5}]): "the answer 'Rome' is not at -5 of its context",
    squad(answers=[{"text": "", "answer_start": 0}]): 'an answer needs "text" and "answer_start"',
    squad(answers=[{"text": "Rome"}]): 'an answer needs "text" and "answer_start"',
    squad(answers={"text": ["Rome"], "answer_start": []}): '"answers" needs as many "text" as "answer_start"',
    squad(answers="Rome"): '"answers" is not a list',
    squad(context=" ", answers=[]): '"context" is empty',
    squad(question=""): '"question" is empty',
    squad(question=5): 'lacks "question"',
    '{"data": [{"paragraphs": [{"qas": [{}]}]}]}': "is not shaped like SQuAD",
    '{"data": 5}': "is not shaped like SQuAD",
    '{"data": []}': "holds no question",
    "": "holds no question",
    '{"id": 1}\n{"id":': "line 1 lacks",
    "[1": "line 1 is not JSON",
}


@pytest.mark.parametrize("content", WRONG, ids=lambda content: WRONG[content][:40])
def test_a_wrong_question_is_named(content: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(KpiError) as caught:
        read_squad(file)
    assert caught.value.message.startswith("mine.json")
    assert WRONG[content] in caught.value.message
    assert caught.value.remedy


def test_a_file_in_another_encoding_or_none_is_named(tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    file.write_bytes(squad(context="Anna vit à Rome", answers=[]).replace("\\u00e0", "à").encode("latin-1"))
    with pytest.raises(KpiError, match=r"mine.json is not UTF-8: byte"):
        read_squad(file)
    with pytest.raises(Unavailable, match="can't be read"):
        read_squad(tmp_path / "missing.json")


@pytest.mark.suite
@pytest.mark.long
def test_ones_own_questions_need_a_training_split_for_training(questions: Project) -> None:
    rome = [{"text": "rome", "answer_start": 14}]
    mine = squad("anna lives in rome", question="where does anna live", answers=rome)
    (questions.folder / "mine.json").write_text(mine)
    questions.change('reference = "fp32"\n', 'reference = "fp32"\ndata = "mine.json"\n')
    done = questions.pytest("-k", "int8 and exact or qat and ops", timeout=600)
    assert done.returncode == 0, done.stdout
    targets = {t["id"]: t for t in questions.evidence()["targets"]}
    assert targets["qat:ops"]["verdict"] == "UNAVAILABLE"
    assert "train*.json" in targets["qat:ops"]["remedy"]


@pytest.mark.suite
@pytest.mark.long
def test_ones_own_folder_of_questions_is_trained_on_and_judged_by(questions: Project) -> None:
    data = questions.folder / "squad"
    data.mkdir()
    names = ["anna", "boris", "clara"]
    asked = [
        {"id": n, "context": f"{name} lives in rome", "question": f"where does {name} live", "answers": answers}
        for n, name in enumerate(names * 8)
        for answers in [[{"text": "rome", "answer_start": len(name) + 10}]]
    ]
    (data / "train-v1.json").write_text("".join(json.dumps(q) + "\n" for q in asked), encoding="utf-8")
    (data / "dev-v1.json").write_text("".join(json.dumps(q) + "\n" for q in asked[:5]), encoding="utf-8")
    questions.change('reference = "fp32"\n\n', 'reference = "fp32"\ndata = "squad"\n\n')
    questions.change("epochs = 20", "epochs = 1")
    done = questions.pytest("-k", "qat and f1 and not control or int8 and exact", timeout=600)
    targets = {t["id"]: t for t in questions.evidence()["targets"]}
    # Two of the five questions are repeats: they count once.
    assert targets["qat:f1"]["n"] == 3, done.stdout
    (first,) = {a["artifact"] for a in targets.values() if a["id"] == "qat:f1"}
    (data / "train-v1.json").write_text("".join(json.dumps(q) + "\n" for q in asked[1:]), encoding="utf-8")
    questions.pytest("-k", "qat and f1 and not control", timeout=600)
    assert {t["id"]: t for t in questions.evidence()["targets"]}["qat:f1"]["artifact"] != first
