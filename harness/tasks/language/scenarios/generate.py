"""A language model answers prompts of given lengths, one at a time: how fast, with how much memory."""

from __future__ import annotations

import gc
import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.core.errors import KpiError
from harness.core.registry import options_table
from harness.measure.loadgen.prompts import Beginnings, prompts_of
from harness.measure.memory_bandwidth import copy_bandwidth
from harness.measure.scenarios.base import Scenario, ScenarioContext
from harness.tasks.language.runtimes.language import Generation, LanguageSession
from harness.tasks.language.scenarios.first_tokens import two_tokens
from harness.tasks.language.workload import SAMPLES, read_prompts

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_SLACK_S, _SLACK = 0.01, 0.1
_ALIKE = 0.1


class Generate(Scenario[LanguageSession]):
    """MLPerf's SingleStream for tokens: batch 1, greedy, a fixed number of tokens so that recipes do the same work."""

    name = "generate"
    request = "an answer"
    title = "answers to prompts of given lengths"
    session_type = LanguageSession
    watched = True

    @options_table
    class Options:
        """What is asked.

        ``tokens``: how many each answer has; ``words``: the lengths of the prompts; ``requests``: least of each;
        ``repeat_prompts``: whether a prompt may be asked again, so that a cache of prefixes answers in part.
        """

        tokens: int = 32
        words: tuple[int, ...] = (16, 128)
        requests: int = 3
        repeat_prompts: bool = False

        def __post_init__(self) -> None:
            if self.tokens < 2 or self.requests < 1 or not self.words or min(self.words) < 1:  # noqa: PLR2004
                raise ValueError("tokens must be at least 2, requests and each of words at least 1")

    def first_request(
        self, stage: ScenarioContext
    ) -> Callable[[LanguageSession], Mapping[str, npt.NDArray[np.generic]]]:
        prompts, put = self._prompts(stage)
        return two_tokens(put(next(iter(prompts.values()))[0], -1), exactly=True)

    def run(self, session: LanguageSession, stage: ScenarioContext) -> dict[str, Any]:
        prompts, put = self._prompts(stage)
        warmth = self._warm_up(session, prompts, put)
        asked: list[tuple[int, Generation]] = []
        gc.collect()
        gc.disable()
        with stage.watch():
            begin = time.perf_counter()
            for number, (words, prompt) in enumerate(_turns(prompts)):
                asked.append((words, session.generate(put(prompt, number), self.options.tokens, exactly=True)))
                enough = len(asked) >= self.options.requests * len(prompts)
                if enough and time.perf_counter() - begin >= stage.seconds:
                    break
            end = time.perf_counter()
        gc.enable()
        for _, answer in asked:
            _check_clock(answer, self.options.tokens)
        tokens = sum(answer.tokens for _, answer in asked)
        return {
            "completed": tokens,
            "elapsed_s": end - begin,
            "samples_s": [answer.wall_s for _, answer in asked],
            "warmup": warmth,
            "series": {
                "words": [float(words) for words, _ in asked],
                "prompt_tokens": [float(answer.prompt_tokens) for _, answer in asked],
                "tokens": [float(answer.tokens) for _, answer in asked],
                "ttft_s": [answer.ttft_s for _, answer in asked],
                "tpot_s": [_per_token(answer) for _, answer in asked],
            },
            "details": {"copy_bytes_s": copy_bandwidth(), "repeat_prompts": self.options.repeat_prompts},
        }

    def _prompts(self, stage: ScenarioContext) -> tuple[dict[int, list[str]], Callable[[str, int], str]]:
        """The prompts by length, and what gives one the beginning of a number: from 0 on timed, below 0 before."""
        texts = [prompt.prompt for prompt in read_prompts(stage.requests / SAMPLES)]
        put = (lambda prompt, _: prompt) if self.options.repeat_prompts else Beginnings(texts).put
        return prompts_of(texts, self.options.words), put

    def _warm_up(
        self, session: LanguageSession, prompts: Mapping[int, Sequence[str]], put: Callable[[str, int], str]
    ) -> dict[str, Any]:
        """One answer of each length, then of the longest until two in a row take the same time per token; four at most.

        The first two answers to long prompts wait longer for their first token than later ones (benchmarks/warm_up.py).
        """
        start, before, runs, steady = time.perf_counter(), 0.0, 0, False
        more = itertools.islice(itertools.cycle(prompts[max(prompts)]), 4)
        for text in itertools.chain((texts[0] for texts in prompts.values()), more):
            if steady and runs > len(prompts):
                break
            # The first request of all took the last number.
            now = _per_token(session.generate(put(text, -2 - runs), self.options.tokens, exactly=True))
            steady, before, runs = bool(before) and abs(now / before - 1) <= _ALIKE, now, runs + 1
        return {"runs": runs, "seconds": round(time.perf_counter() - start, 4), "steady": steady}


def _turns(prompts: Mapping[int, Sequence[str]]) -> Iterator[tuple[int, str]]:
    """A prompt of each length in turn, with its length."""
    for number in itertools.count():
        for words, texts in prompts.items():
            yield words, texts[number % len(texts)]


def _per_token(answer: Generation) -> float:
    """Seconds for each token after the first."""
    return (answer.generate_s - answer.ttft_s) / max(answer.tokens - 1, 1)


def _check_clock(answer: Generation, tokens: int) -> None:
    """The runtime's own times count only while the wall clock agrees."""
    if answer.tokens != tokens:
        raise KpiError(f"asked for exactly {tokens} tokens, the runtime made {answer.tokens}")
    if abs(answer.wall_s - answer.generate_s) > max(_SLACK_S, _SLACK * answer.wall_s):
        raise KpiError(
            f"the runtime says that an answer took {1e3 * answer.generate_s:.1f} ms, the clock on the wall "
            f"{1e3 * answer.wall_s:.1f} ms"
        )
    if not 0 < answer.ttft_s <= answer.generate_s * (1 + _SLACK):
        raise KpiError(f"the runtime says that the first token came after {answer.ttft_s} s of {answer.generate_s} s")
