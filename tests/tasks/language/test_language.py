"""Language models on the whole way: exported, compressed, run, scored; answers that are none are noticed."""

from __future__ import annotations

import importlib.util
import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from harness.core.errors import KpiError, Unavailable
from harness.tasks.language.scenarios.answer import PART, changed_prompt
from harness.tasks.language.workload import read_prompts
from tests.support.project import ROOT, Project, copied_project

CHAT = Path(__file__).parents[2] / "projects/chat"


@pytest.fixture
def chat(tmp_path: Path, shared_store: Path) -> Project:
    return copied_project("chat", tmp_path, shared_store)


@pytest.mark.suite
@pytest.mark.long
def test_every_way_to_run_a_language_model(chat: Project) -> None:
    done = chat.pytest("-k", "not meteor", timeout=900)
    verdicts = chat.verdicts()
    # What a model of random weights says never ends: the only promise that it breaks.
    assert verdicts.pop("chat-int8:answers") == "FAIL", done.stdout
    assert " of 12 outputs (" in done.stdout
    assert "hit the token limit before they ended" in " ".join(done.stdout.split())
    assert {verdicts.pop("chat-npu:ttft"), verdicts.pop("chat-npu:tokens")} == {"UNAVAILABLE"}
    assert verdicts.pop("chat-int4:meteor-drop-fp32") == "INCONCLUSIVE"
    # Scores without ends: twelve prompts can't decide a comparison, whatever they show.
    assert [verdicts.pop(name) for name in sorted(verdicts) if "nll" in name] == ["INCONCLUSIVE"] * 2
    cut_off = {name for name, verdict in verdicts.items() if "chrf" in name or "bleu" in name}
    assert [verdicts.pop(name) for name in cut_off] == ["ERROR"] * 4
    said = {
        (t["reason"].partition(" answers of ")[2], t["remedy"])
        for t in chat.evidence()["targets"]
        if t["id"] in cut_off
    }
    assert all("hit 128 tokens" in reason and remedy == "raise answer.tokens" for reason, remedy in said)
    assert set(verdicts.values()) == {"PASS"}, done.stdout
    evidence = chat.evidence()
    exports_are_faithful(evidence)
    process = next(m for m in evidence["measurements"] if m["scenario"] == "generate")["processes"][0]
    series = process["series"]
    assert {len(values) for values in series.values()} == {len(process["samples_s"])}
    assert set(series["words"]) == {4.0, 12.0}
    assert min(series["prompt_tokens"]) < max(series["prompt_tokens"])
    assert set(series["tokens"]) == {4.0}
    assert all(0 < ttft <= wall for ttft, wall in zip(series["ttft_s"], process["samples_s"], strict=True))
    assert process["details"]["copy_bytes_s"] > 1e8
    timeline = process["details"]["timeline"]
    assert all(memory > 1e7 for _, memory, _ in timeline["points"])
    marks = timeline["marks"]
    assert 0 <= marks["load"] < marks["timed"] < marks["end"] <= timeline["points"][-1][0] + 1
    precision = {m["recipe"]: m["processes"][0]["proof"]["details"]["constants"] for m in evidence["measurements"]}
    assert "u4" in precision["chat/int4"]
    assert "u4" not in precision["chat/int8"]
    assert "u8" in precision["chat/int8"]
    assert set(precision["chat/fp32"]) <= {"f32", "i64", "i32", "boolean", "f16"}
    results = json.loads((chat.folder / ".kpi/latest/results/chat-int8.json").read_text(encoding="utf-8"))
    assert len(results) == 12
    answered = next(m for m in evidence["measurements"] if m["scenario"] == "answer")["processes"][0]["details"]
    assert answered["changed_prompts"] == 8
    assert answered["same_answers"] < 4
    assert {"prompt", "reference", "output", "tokens", "seconds", "ended"} <= set(results[0])
    table = kpi(chat, "recipes", "chat").stdout.splitlines()
    columns = table[0].strip("| ").split(" | ")
    assert {"int8", "int4", "fp32", "int8-optimum"} <= set(columns)
    rows = {line.split("`")[1]: line for line in table[2:]}
    assert {"size", "ttft", "throughput.tokens", "memory.peak", "accuracy.nll"} <= set(rows)
    assert "latency.p50" not in rows
    assert {"ttft, 4 words", "tpot, 12 words"} <= set(rows)
    assert re.search(r"GB/s, \d+ % of copying: (memory|compute)-bound", rows["memory traffic"])
    assert "tok/s (" in rows["throughput.tokens"]
    unknown = kpi(chat, "recipes", "chta")
    assert unknown.returncode == 1
    assert 'did you mean "chat"' in unknown.stderr


def exports_are_faithful(evidence: dict[str, Any]) -> None:
    for export in (m["compared"][0] for m in evidence["measurements"]):
        assert export["pass"] == "optimum-openvino"
        assert 0 <= export["difference"] < export["tolerance"]


def kpi(project: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "harness.cli.main", *arguments],
        cwd=project.folder, env=project.variables, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.mark.suite
@pytest.mark.long
def test_meteor_needs_wordnet_and_says_with_what_it_was_computed(chat: Project) -> None:
    # A model whose answers come to an end: of others nothing is scored.
    model = ROOT / "fixtures/translation/model"
    chat.change('reference = "fp32"\n', f'reference = "fp32"\nmodel = "{model.as_posix()}"\n')
    prompts = chat.folder / "few.jsonl"
    lines = (model.parent / "prompts.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    prompts.write_text("".join(lines[:12]), encoding="utf-8")
    arguments = ("-k", "meteor or (chat-int8 and chrf)", f"--kpi-prompts={prompts}")
    assert chat.pytest(*arguments, timeout=600).returncode == 0
    evidence = chat.evidence()
    selected = {name: verdict for name, verdict in chat.verdicts().items() if "meteor" in name or "int8:chrf" in name}
    assert len(selected) == 2
    assert set(selected.values()) == {"PASS"}
    scored_with = next(m["scored_with"] for m in evidence["measurements"] if "accuracy.chrf" in m["scored_with"])
    assert scored_with["accuracy.chrf"]["chrf"].startswith("chrF2")
    own = next(m for m in evidence["measurements"] if m["recipe"] == "chat/int4")
    assert own["scored_with"]["accuracy.meteor"]["wordnet"]
    scored = kpi(chat, "score", ".kpi/latest/results/chat-int4.json")
    assert scored.returncode == 0, scored.stderr
    mean = sum(own["scores"]["accuracy.meteor"]) / 12
    assert f"METEOR            {mean:.4f}" in scored.stdout
    chat.environment["KPI_WORDNET"] = "/nowhere"
    done = chat.pytest("-k", "meteor", f"--kpi-prompts={prompts}", timeout=600)
    assert done.returncode == 0
    target = next(t for t in chat.evidence()["targets"] if t["id"] == "chat-int4:meteor-drop-fp32")
    assert target["verdict"] == "UNAVAILABLE"
    assert target["remedy"]
    assert target["value"] is None


@pytest.mark.suite
def test_answers_that_do_not_come_from_the_prompt_are_noticed(chat: Project) -> None:
    """Without what attention brings, a token depends on the one before it alone, never on the prompt."""
    from safetensors.numpy import load_file, save_file

    folder = chat.folder / "models/deaf"
    chat_module().make_model(folder, hidden=64)
    weights = load_file(folder / "model.safetensors")
    deaf = {name: array * 0 if "o_proj" in name else array for name, array in weights.items()}
    save_file(deaf, folder / "model.safetensors", metadata={"format": "pt"})
    chat.change('reference = "fp32"\n', 'reference = "fp32"\nmodel = "models/deaf"\n')
    done = chat.pytest("-k", "chat-int8 and answers", timeout=600)
    assert chat.verdicts()["chat-int8:answers"] == "FAIL"
    assert "8 of 8 changed prompts got the answer of the unchanged one" in " ".join(done.stdout.split())


@pytest.mark.parametrize(
    ("prompt", "other", "changed"),
    [
        ("a b c d", "e f g h", "a b g h"),
        ("a b c", "e", "a b e"),
        ("a", "b", "a b"),
        ("a b", "a b", "? b a"),
    ],
)
def test_a_changed_prompt_is_another(prompt: str, other: str, changed: str) -> None:
    assert changed_prompt(prompt, other) == changed


@pytest.mark.long
@pytest.mark.suite
def test_half_answered_prompts_are_not_asked_again(chat: Project) -> None:
    prompts = chat.folder / "many.jsonl"
    lines = [{"prompt": f"le chat {n} dort", "reference": f"the cat {n} sleeps"} for n in range(150)]
    prompts.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    arguments = ("-k", "chat-int8 and nll", f"--kpi-prompts={prompts}")

    def some() -> bool:
        parts = (chat.folder / ".kpi/runs").rglob(f"outputs/*{PART}")
        return any(len(part.read_bytes().splitlines()) > 20 for part in parts)

    chat.stop_when(some, signal.SIGKILL, *arguments)
    assert chat.pytest("--kpi-resume", *arguments, timeout=600).returncode == 0
    measured = [m for m in chat.evidence()["measurements"] if m["scenario"] == "answer"]
    assert {m["processes"][0]["completed"] for m in measured} == {150}
    assert sum(m["processes"][0]["details"]["taken_over"] for m in measured) >= 20
    results = json.loads((chat.folder / ".kpi/latest/results/chat-int8.json").read_text(encoding="utf-8"))
    assert [line["prompt"] for line in results] == [line["prompt"] for line in lines]


def chat_module() -> ModuleType:
    """The project's fixture, imported here."""
    made = importlib.util.spec_from_file_location("chat_fixture", CHAT / "fixtures/chat/__init__.py")
    assert made is not None
    assert made.loader is not None
    module = importlib.util.module_from_spec(made)
    made.loader.exec_module(module)
    return module


@pytest.mark.suite
@pytest.mark.long
def test_another_model_needs_nothing_but_its_name(chat: Project, tmp_path: Path) -> None:
    chat_module().make_model(tmp_path / "chat/models/another", hidden=96, vocabulary=340)
    chat.change('reference = "fp32"\n', 'reference = "fp32"\nmodel = "models/another"\n')
    done = chat.pytest("-k", "chat-int8 and (size or kl)", timeout=600)
    assert done.returncode == 0, done.stdout
    prompts = tmp_path / "mine.jsonl"
    prompts.write_text('{"prompt": "le chat", "reference": "the cat"}\n\n' * 3, encoding="utf-8")
    done = chat.pytest("-k", "chat-int8 and kl", f"--kpi-prompts={prompts}", timeout=600)
    assert done.returncode == 0, done.stdout
    assert next(t["n"] for t in chat.evidence()["targets"] if t["id"] == "chat-int8:kl") == 3
    chat.change('model = "models/another"', 'model = "someone/somewhere-7b"')
    assert chat.pytest("-k", "chat-int8 and size").returncode == 0
    target = next(t for t in chat.evidence()["targets"] if t["id"].startswith("chat-int8:size"))
    assert target["verdict"] == "UNAVAILABLE"
    assert "accept its licence on https://huggingface.co/someone/somewhere-7b" in target["remedy"]
    assert "hf download someone/somewhere-7b" in target["remedy"]


WRONG = {
    b'{"prompt": "a", "reference": "b"}\n{"prompt": "a"\n': "mine.jsonl line 2 is not JSON",
    b'{"prompt": "a", "reference": " "}\n': 'mine.jsonl line 1: "reference" is empty',
    b'{"prompt": "a"}\n': 'mine.jsonl line 1 lacks "reference" (or "response")',
    b'{"prompt": "a", "response": ""}\n': 'mine.jsonl line 1: "response" is empty',
    b'{"prompt": "a", "response": "b", "reference": "c"}\n': 'mine.jsonl line 1 has "reference" and "response"',
    b'{"prompt": 1, "reference": "b"}\n': 'mine.jsonl line 1 lacks "prompt"',
    b'["a", "b"]\n': 'mine.jsonl line 1 lacks "prompt"',
    b"\n\n": "mine.jsonl holds no prompt",
    '{"prompt": "été", "reference": "summer"}\n'.encode("latin-1"): "mine.jsonl is not UTF-8: byte 12",
    b"[" * 100_000: "mine.jsonl line 1 is not JSON",
}


@pytest.mark.parametrize("content", WRONG, ids=lambda content: content[:20].decode("latin-1").strip())
def test_a_wrong_line_is_named(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "mine.jsonl"
    file.write_bytes(content)
    with pytest.raises(KpiError) as caught:
        read_prompts(file)
    assert caught.value.message == WRONG[content]
    assert caught.value.remedy


def test_many_lines_windows_lines_and_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    file = tmp_path / "mine.jsonl"
    file.write_bytes(b"\xef\xbb\xbf" + '{"prompt": "l\'été", "reference": "summer"}\r\n'.encode() * 10_000)
    found = read_prompts(file)
    assert len(found) == 10_000
    assert found[-1].prompt == "l'été"
    with pytest.raises(Unavailable, match="can't be read"):
        read_prompts(tmp_path / "missing.jsonl")
