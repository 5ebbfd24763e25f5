"""A language model is asked by another adapter each time: how long until the first token."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from harness.core.errors import KpiError
from harness.core.registry import check_counts, options_table
from harness.measure.loadgen.prompts import Beginnings, prompts_of
from harness.measure.scenarios.base import Scenario, ScenarioContext
from harness.tasks.language.runtimes.language import AdapterSession
from harness.tasks.language.scenarios.first_tokens import two_tokens
from harness.tasks.language.workload import SAMPLES, read_prompts

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class SwitchAdapters(Scenario[AdapterSession]):
    """Round all adapters and off, each switch followed by the same request without one."""

    name = "adapter-switch"
    title = "switching between adapters"
    session_type = AdapterSession

    @options_table
    class Options:
        """``words``: the length of the prompts; ``switches``: at least so many."""

        words: int = 16
        switches: int = 12

        def __post_init__(self) -> None:
            check_counts(words=self.words, switches=self.switches)

    def first_request(
        self, stage: ScenarioContext
    ) -> Callable[[AdapterSession], Mapping[str, npt.NDArray[np.generic]]]:
        return two_tokens(self._prompt(stage)(-1), exactly=True)

    def run(self, session: AdapterSession, stage: ScenarioContext) -> dict[str, Any]:
        if not session.adapters:
            raise KpiError(
                "the artifact has no adapter to switch to", 'make some with the passes "lora" and "adapters"'
            )
        states, prompt = [None, *session.adapters], self._prompt(stage)
        start = time.perf_counter()
        for number, state in enumerate(states):  # warm-up
            session.use(state)
            session.generate(prompt(-2 - number), 2, exactly=True)
        warmth = {"runs": len(states), "seconds": round(time.perf_counter() - start, 4)}
        switched: list[float] = []
        stayed: list[float] = []
        gc.collect()
        gc.disable()
        with stage.watch():
            begin = time.perf_counter()
            while len(switched) < self.options.switches or time.perf_counter() - begin < stage.seconds:
                turn = len(switched)
                prompts = prompt(2 * turn), prompt(2 * turn + 1)
                asked = time.perf_counter()
                session.use(states[turn % len(states)])
                used = time.perf_counter()
                switched.append(used - asked + session.generate(prompts[0], 2, exactly=True).ttft_s)
                stayed.append(session.generate(prompts[1], 2, exactly=True).ttft_s)
            end = time.perf_counter()
        gc.enable()
        return {
            "completed": len(switched),
            "elapsed_s": end - begin,
            "samples_s": switched,
            "warmup": warmth,
            "series": {"switch_s": switched, "stayed_s": stayed},
            "details": {"adapters": list(session.adapters)},
        }

    def _prompt(self, stage: ScenarioContext) -> Callable[[int], str]:
        """The prompt of a number, each beginning differently; two that follow each other are alike but for that."""
        texts = [prompt.prompt for prompt in read_prompts(stage.requests / SAMPLES)]
        prompts, beginnings = prompts_of(texts, [self.options.words])[self.options.words], Beginnings(texts)
        return lambda number: beginnings.put(prompts[number // 2 % len(prompts)], number)
