"""The travel assistant: the same requests everywhere, lines that say what is meant, own lines cut fairly."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from fixtures import travel_assistant
from fixtures.travel_assistant import TravelAssistant, share_of
from fixtures.travel_assistant.corpus import DIGESTS, SPLITS, conversations, digests, pairs, requests
from harness.core.errors import KpiError, Unavailable
from harness.tasks.language.passes.lora import training_prompts
from harness.tasks.language.scoring.slots import TITLE, read_line, slot_scores
from harness.tasks.language.workload import read_prompts
from harness.workloads.base import Settings


def fixture(tmp_path: Path, data: Path | None = None, model: str | None = None) -> TravelAssistant:
    return TravelAssistant(
        Settings(
            name="travel",
            task="text-generation",
            checkpoint=None,
            checkpoint_sha256=None,
            model=model,
            data=data,
            allow_pickle=False,
            trust_remote_code=False,
            cache=tmp_path,
        )
    )


def test_the_corpus_is_what_its_digests_say() -> None:
    assert digests() == DIGESTS


def test_splits_share_no_request() -> None:
    texts = {split: {request.text for request in requests(split)} for split in SPLITS}
    assert {split: len(found) for split, found in texts.items()} == SPLITS
    held_out = texts["evaluation"] | texts["tuning"] | texts["calibration"]
    assert len(held_out) == sum(SPLITS[split] for split in ("evaluation", "tuning", "calibration"))
    assert not held_out & texts["training"]
    said = [text for turns in conversations(3_000) for text, _ in turns]
    assert not any(text in conversation for conversation in said for text in list(held_out)[:50])
    assert not held_out & set(said)
    with pytest.raises(ValueError, match="no split 'test'; it has evaluation"):
        requests("test")


def test_what_is_meant_is_what_was_said_last() -> None:
    for request in requests("evaluation"):
        slots = request.trip.slots()
        assert request.trip.origin != request.trip.destination
        for name in ("from", "to"):
            assert slots[name] in request.text
        corrected = {name for name, value in request.literal.items() if name != "day" and value != slots[name]}
        assert len(corrected) <= 1
        for name in corrected:
            assert name == "people" or request.text.rindex(slots[name]) > request.text.index(request.literal[name])
        if request.trip.nights is not None:
            assert 1 <= request.trip.nights <= 7
            assert (request.trip.day + request.trip.nights) % 7 == request.trip.back


def test_the_shipped_file_is_the_evaluation_split() -> None:
    shipped = read_prompts(Path(travel_assistant.__file__).with_name("prompts.jsonl"))
    assert [(prompt.prompt, prompt.reference) for prompt in shipped] == pairs("evaluation")
    assert len(shipped) >= 500


@pytest.mark.parametrize("task", ["booking", "packing"])
def test_lines_can_be_read_and_told_apart(task: str) -> None:
    lines = [line for _, line in pairs("evaluation", task)]
    assert slot_scores(lines, lines) == [1.0] * len(lines)
    assert {"".join(read_line(line)[TITLE]) for line in lines} == {"book" if task == "booking" else "pack"}
    other = [line for _, line in pairs("evaluation", "packing" if task == "booking" else "booking")]
    assert max(slot_scores(other, lines)) < 0.7
    # Where everybody's request is answered with one line, little is right.
    assert sum(slot_scores([lines[0]] * len(lines), lines)) / len(lines) < 0.45


def test_the_users_lines_are_cut_by_what_they_say(tmp_path: Path) -> None:
    file = tmp_path / "data_sample_travel.jsonl"
    lines = [{"prompt": f"To Rome, for {n} people.", "response": f"book; people: {n}"} for n in range(200)]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    own = fixture(tmp_path, file)
    found = {split: [p.prompt for p in own.prompts(split)] for split in SPLITS}
    assert sorted(text for part in found.values() for text in part) == sorted(str(line["prompt"]) for line in lines)
    assert 0.2 < len(found["evaluation"]) / 200 < 0.4
    assert share_of("To Rome,  for 7 people. ") == share_of("To Rome, for 7 people.")
    before = own.fingerprint()
    file.write_text(json.dumps(lines[0]) + "\n", encoding="utf-8")
    with pytest.raises(KpiError, match=re.escape("of the 1 lines of data_sample_travel.jsonl none falls to")):
        own.fingerprint()
    file.write_text("".join(json.dumps(line) + "\n" for line in reversed(lines)), encoding="utf-8")
    assert own.fingerprint() != before
    with pytest.raises(KpiError, match="holds one task, not packing"):
        own.prompts("training:packing")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"prompt": "To Rome."}', 'line 2 lacks "reference" (or "response")'),
        ('{"prompt": "To Rome.", "response": ""}', 'line 2: "response" is empty'),
        ('{"prompt": "To Rome.", "response": 3}', 'line 2 lacks "response"'),
        ('{"prompt": "To Rome.", "response": "a", "reference": "b"}', 'line 2 has "reference" and "response"'),
    ],
)
def test_a_line_without_a_response_is_named(tmp_path: Path, line: str, said: str) -> None:
    file = tmp_path / "mine.jsonl"
    file.write_text('{"prompt": "a", "response": "b"}\n' + line + "\n", encoding="utf-8")
    with pytest.raises(KpiError, match=re.escape(f"mine.jsonl {said}")):
        fixture(tmp_path, file).prompts("training")


def test_a_base_that_is_not_here_says_what_to_do(tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub")
    with pytest.raises(Unavailable) as caught:
        fixture(tmp_path, model="microsoft/Phi-3.5-mini-instruct-of-nobody").fingerprint()
    assert "hf download" in caught.value.remedy


def test_a_task_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(KpiError, match="no split training:swimming: the travel corpus has no task 'swimming'"):
        training_prompts(fixture(tmp_path), "swimming")
