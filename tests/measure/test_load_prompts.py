"""Prompts never begin alike, so that no cache of prefixes answers for what is timed; their lengths stay."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.measure.loadgen.prompts import Beginnings, prompts_of, served_prompts
from harness.measure.scenarios.base import ScenarioContext
from harness.tasks.language.runtimes.language import Generation, LanguageSession
from harness.tasks.language.scenarios.generate import Generate
from tests.tasks.language.test_load_scenarios import unwatched

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from harness.measure.records import Proof

TEXTS = [f"Translate into English: le chat numéro {n} dort sur la table rouge." for n in range(40)]
words = st.text(st.characters(codec="utf-8", categories=["L", "N", "P"]), min_size=1, max_size=5)
texts = st.lists(st.lists(words, min_size=1, max_size=12).map(" ".join), min_size=1, max_size=5)


@given(texts, st.lists(st.integers(-(2**31), 2**31 - 1), unique=True, min_size=2, max_size=20))
def test_no_two_prompts_begin_alike_and_none_gets_longer(found: list[str], numbers: list[int]) -> None:
    made = Beginnings(found)
    for text in found:
        begun = [made.put(text, number) for number in numbers]
        assert len(set(begun)) == len(numbers)
        assert {len(prompt.split()) for prompt in begun} == {len(text.split())}


def test_only_the_first_words_change() -> None:
    made = Beginnings(TEXTS)
    for length, prompts in prompts_of(TEXTS, [16, 128]).items():
        begun = [made.put(prompt, number) for number, prompt in enumerate(prompts)]
        assert {len(prompt.split()) for prompt in begun} == {length}
        assert all(a.split()[-4:] == b.split()[-4:] for a, b in zip(begun, prompts, strict=True))
        assert len({prompt.split()[0] for prompt in begun}) == len(begun)


def test_line_breaks_and_letters_without_spaces_stay() -> None:
    made = Beginnings([*TEXTS, "one\n  two"])
    assert made.put("a b c d e f g h\n\n    return 1", 7).endswith("h\n\n    return 1")
    begun = [Beginnings(["今天天气真好"]).put("今天天气真好", number) for number in range(40)]
    assert len(set(begun)) == 40
    assert all(re.fullmatch("[a-z]{7}今天天气真好", prompt) for prompt in begun)


def test_requests_of_a_process_never_repeat() -> None:
    first, second = (served_prompts(TEXTS, repeat=False) for _ in range(2))
    asked = [prompt(number) for prompt in (first, second) for number in [0] * 6 + list(range(500))]
    assert len(set(asked)) == len(asked)
    assert [served_prompts(TEXTS, repeat=True)(number) for number in (0, 1, 40)] == [TEXTS[0], TEXTS[1], TEXTS[0]]


class Remembering(LanguageSession):
    """Takes a millisecond for a prompt, and notes which ones it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def generate(self, prompt: str, most_tokens: int, *, exactly: bool = False) -> Generation:
        del exactly
        start = time.perf_counter()
        self.asked.append(prompt)
        time.sleep(0.001)
        wall = time.perf_counter() - start
        times = {"ttft_s": wall / 2, "wall_s": wall, "generate_s": wall}
        return Generation("x", most_tokens, len(prompt.split()), ended=False, **times)

    def log_probabilities(self, prompt: str, answer: str) -> tuple[npt.NDArray[np.float32], Sequence[int]]:
        raise NotImplementedError

    def proof(self) -> Proof:
        raise NotImplementedError


@pytest.mark.parametrize("repeat", [False, True])
def test_one_after_the_other_they_repeat_only_where_the_recipe_asks_for_it(tmp_path: Path, *, repeat: bool) -> None:
    lines = [json.dumps({"prompt": text, "reference": "x"}) for text in TEXTS]
    (tmp_path / "prompts.jsonl").write_text("\n".join(lines), encoding="utf-8")
    stage = ScenarioContext(
        inputs={}, requests=tmp_path, seconds=0.3, samples=1, workload=lambda: pytest.fail("no data set is needed"),
        outputs=tmp_path, progress=print, watch=unwatched,
    )  # fmt: skip
    scenario, session = Generate(Generate.Options(repeat_prompts=repeat, words=(16, 40), requests=30)), Remembering()
    scenario.first_request(stage)(session)
    seen = scenario.run(session, stage)
    assert seen["details"]["repeat_prompts"] is repeat
    assert {len(prompt.split()) for prompt in session.asked} == {16, 40}
    assert len(session.asked) > 60
    assert (len(set(session.asked)) == len(session.asked)) is not repeat
    # Recipes are given the same work: what is timed begins with the same prompts, however long the warm-up was.
    again = Remembering()
    scenario.run(again, stage)
    timed, others = session.asked[1 + seen["warmup"]["runs"] :][:30], again.asked
    assert any(others[start : start + 30] == timed for start in range(12))
