"""A language model answers every evaluation prompt without and with its adapter, switched for each request."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.json_lines import line, read_lines, write_list
from harness.core.registry import check_counts, options_table
from harness.measure.scenarios.base import ProducesOutputs, Scenario, ScenarioContext
from harness.measure.scenarios.splits import clustered
from harness.tasks.language.runtimes.language import AdapterSession, Generation, LanguageSession
from harness.tasks.language.scenarios.first_tokens import two_tokens
from harness.tasks.language.scoring.answers import Limits, require_answers
from harness.tasks.language.workload import SAMPLES, Prompt, prompt_clusters, read_prompts

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_CUT_OFF = Limits(empty=1, repeated=1)


@dataclass(frozen=True, slots=True)
class AdapterAnswers:
    """What was answered, in the order of the prompts.

    ``adapter`` is empty, and so are the answers ``on``, where the model has none. ``off_ids`` are the tokens that the
    model alone made; ``faults`` what switching did not restore. ``off_ended`` and ``on_ended`` are whether the model
    itself ended an answer, ``tokens`` the most that one may have.
    """

    adapter: str
    references: list[str]
    off: list[str]
    on: list[str]
    off_ids: list[list[int]]
    faults: list[list[str]]
    prompts: list[str]
    off_ended: list[bool]
    on_ended: list[bool]
    tokens: int

    def require(self, recipe: str) -> None:
        """KpiError where too many answers were cut off, or too many of those with the adapter are empty or all alike.

        What the base model says may be as poor as it is, as long as it came to its end.
        """
        limit: dict[str, Any] = {"option": "adapter-answers.tokens", "tokens": self.tokens}
        require_answers(
            self.prompts, self.on, self.references, self.on_ended, whose=f"{recipe} with its adapter", **limit
        )
        base = f"{recipe} without its adapter"
        require_answers(self.prompts, self.off, self.references, self.off_ended, whose=base, limits=_CUT_OFF, **limit)


class AdapterAnswer(Scenario[LanguageSession], ProducesOutputs):
    """Greedy answers off, on, and for some prompts once more round all adapters: each must then be what it was.

    A model without adapters answers too: it is what another's answers without one are held against.
    """

    name = "adapter-answers"
    title = "the evaluation prompts without and with the adapter"
    session_type = LanguageSession
    timed = False

    @options_table
    class Options:
        """``tokens``: the most an answer may have; ``restored``: prompts that are asked again after switching."""

        tokens: int = 128
        restored: int = 16

        def __post_init__(self) -> None:
            check_counts(tokens=self.tokens, restored=self.restored)

    @classmethod
    def read(cls, file: Path) -> AdapterAnswers:
        lines = read_lines(file)
        return AdapterAnswers(
            next((line["adapter"] for line in lines), ""),
            [line["reference"] for line in lines],
            [line["off"] for line in lines],
            [line["on"] for line in lines if line["adapter"]],
            [line["off_ids"] for line in lines],
            [line["faults"] for line in lines],
            [line["prompt"] for line in lines],
            [line["off_ended"] for line in lines],
            [line["on_ended"] for line in lines if line["adapter"]],
            lines[0]["limit"],
        )

    @classmethod
    def publish(cls, file: Path, results: Path) -> None:
        """``NAME-adapter.json`` of a recipe: the answers side by side."""
        write_list(file, results.with_name(f"{results.stem}-adapter.json"))

    def first_request(
        self, stage: ScenarioContext
    ) -> Callable[[LanguageSession], Mapping[str, npt.NDArray[np.generic]]]:
        return two_tokens(read_prompts(stage.requests / SAMPLES)[0].prompt)

    def run(self, session: LanguageSession, stage: ScenarioContext) -> dict[str, Any]:
        prompts = read_prompts(stage.requests / SAMPLES)
        file = stage.outputs.with_suffix(".jsonl")
        with file.open("w", encoding="utf-8") as kept, stage.scored():
            for number, prompt in enumerate(prompts):
                if isinstance(session, AdapterSession) and session.adapters:
                    kept.write(line(self._switched(session, prompt, again=number < self.options.restored)))
                else:
                    kept.write(line(self._line(prompt, session.generate(prompt.prompt, self.options.tokens))))
                if number % 20 == 0:
                    stage.progress(f"{number + 1} of {len(prompts)} prompts")
        details = clustered(prompt_clusters(prompts))
        return {"completed": len(prompts), "outputs": file.name, "details": details}

    def _switched(self, session: AdapterSession, prompt: Prompt, *, again: bool) -> dict[str, Any]:
        chosen = session.active or session.adapters[0]
        others = [name for name in session.adapters if name != chosen]
        said: dict[str | None, Generation] = {}
        faults = []
        rounds = [None, chosen, *others, None, chosen] if again else [None, chosen]
        for name in rounds:
            session.use(name)
            answer = session.generate(prompt.prompt, self.options.tokens)
            if answer.ids != said.setdefault(name, answer).ids:
                faults.append(f"switching does not restore the answer of {name or 'the base model'}")
        session.use(chosen)
        on = {"on": said[chosen].text, "on_ended": said[chosen].ended}
        return self._line(prompt, said[None]) | {"adapter": chosen, "faults": faults} | on

    def _line(self, prompt: Prompt, off: Generation) -> dict[str, Any]:
        return {
            "prompt": prompt.prompt,
            "reference": prompt.reference,
            "adapter": "",
            "limit": self.options.tokens,
            "off": off.text,
            "off_ended": off.ended,
            "on": "",
            "off_ids": list(off.ids),
            "faults": [],
        }
