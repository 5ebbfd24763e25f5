"""A language model answers every evaluation prompt once, for the scores of its text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.errors import KpiError
from harness.core.json_lines import line, read_lines, write_list
from harness.core.registry import check_counts, options_table
from harness.measure.resume import MOST_AGE_S
from harness.measure.scenarios.base import ProducesOutputs, Scenario, ScenarioContext
from harness.measure.scenarios.splits import clustered
from harness.tasks.language.runtimes.language import Generation, LanguageSession
from harness.tasks.language.scenarios.first_tokens import two_tokens
from harness.tasks.language.scoring.answers import check_answers, require_answers
from harness.tasks.language.workload import SAMPLES, Prompt, prompt_clusters, read_prompts

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


PART = ".part.jsonl"
_THOUGHTS = "</think>"
_CHANGED = 8
"""How many prompts are asked again, changed: answers that do not come from the prompt stay the same."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What was answered, in the order of the prompts.

    ``ended`` is whether the model itself ended an answer, ``tokens`` how many it has; ``outputs`` are the answers that
    are scored: what follows the mark ``after`` where one is set, empty where it did not come. ``nll`` is the mean
    negative log-likelihood of a reference's tokens (natural logarithm, end token included); ``chances`` are the
    log-probabilities of the next tokens along the first references: one array (tokens, vocabulary) each.
    """

    outputs: list[str]
    references: list[str]
    nll: list[float]
    chances: list[npt.NDArray[np.float32]]
    prompts: list[str]
    ended: list[bool]
    tokens: list[int]
    after: str = ""

    def require(self, recipe: str) -> None:
        """KpiError, with the recipe's name, where too many outputs were cut off, are empty or all alike."""
        require_answers(
            self.prompts,
            self.outputs,
            self.references,
            self.ended,
            whose=recipe,
            option="answer.tokens",
            tokens=max(self.tokens),
            after=self.after,
        )

    def remarks(self) -> list[str]:
        """What a person should know of the outputs: thoughts that are scored as if they were the answer."""
        thought = sum(_THOUGHTS in output for output in self.outputs)
        if not thought:
            return []
        return [f'{thought} of {len(self.outputs)} answers hold {_THOUGHTS}: set answer.after = "{_THOUGHTS}"']


class Answer(Scenario[LanguageSession], ProducesOutputs):
    """Greedy answers to all prompts, with how likely each reference would have been; outputs go to a file."""

    name = "answer"
    title = "the evaluation prompts"
    session_type = LanguageSession
    timed = False

    @options_table
    class Options:
        """What is asked and scored.

        ``tokens``: the most an answer may have; ``compared``: of how many prompts the distributions are kept;
        ``after``: a mark such as "</think>", so that only what follows its last place in an answer is scored.
        """

        tokens: int = 128
        compared: int = 100
        after: str = ""

        def __post_init__(self) -> None:
            check_counts(tokens=self.tokens, compared=self.compared)

    @classmethod
    def read(cls, file: Path) -> Answers:
        import numpy as np

        lines = read_lines(file)
        with np.load(file.with_suffix(".npz")) as arrays:
            chances = [arrays[f"p{n}"].astype(np.float32) for n in range(len(arrays.files))]
        return Answers(
            [line["output"] for line in lines],
            [line["reference"] for line in lines],
            [float(line["nll"]) for line in lines],
            chances,
            [line["prompt"] for line in lines],
            [bool(line["ended"]) for line in lines],
            [int(line["tokens"]) for line in lines],
            lines[0].get("after", ""),
        )

    @classmethod
    def publish(cls, file: Path, results: Path) -> None:
        """``results.json`` of a recipe: a list of prompt, reference, output, tokens and times."""
        write_list(file, results)

    def first_request(
        self, stage: ScenarioContext
    ) -> Callable[[LanguageSession], Mapping[str, npt.NDArray[np.generic]]]:
        return two_tokens(read_prompts(stage.requests / SAMPLES)[0].prompt)

    def run(self, session: LanguageSession, stage: ScenarioContext) -> dict[str, Any]:
        import numpy as np

        prompts = read_prompts(stage.requests / SAMPLES)
        answered = answers_so_far(stage.earlier, stage.outputs, stage.conditions)
        taken_over = len(answered)
        chances: dict[str, npt.NDArray[np.float16]] = {}
        part, file = stage.outputs.with_suffix(PART), stage.outputs.with_suffix(".jsonl")
        with part.open("w", encoding="utf-8") as kept, stage.scored():
            kept.write(line({"conditions": stage.conditions, "started": datetime.now(UTC).isoformat()}))
            kept.writelines(map(line, answered))
            for number, prompt in enumerate(prompts):
                compared = number < self.options.compared
                if compared or number >= len(answered):
                    likely, ids = session.log_probabilities(prompt.prompt, prompt.reference)
                    nll = -float(likely[np.arange(len(ids)), ids].mean())
                    if not np.isfinite(nll):
                        raise KpiError(f"the likelihood of reference {number + 1} is not a number")
                    if compared:
                        chances[f"p{number}"] = likely.astype(np.float16)
                if number >= len(answered):
                    said = session.generate(prompt.prompt, self.options.tokens)
                    answered.append(_answer(prompt, said, nll, self.options.after))
                    kept.write(line(answered[-1]))
                    kept.flush()
                if number % 20 == 0:
                    stage.progress(f"{number + 1} of {len(prompts)} prompts")
        file.write_text("".join(map(line, answered)), encoding="utf-8")
        np.savez(file.with_suffix(".npz"), **chances)  # type: ignore[arg-type]
        part.unlink()
        with stage.scored():
            asked, unmoved = self._ask_changed(session, prompts, answered)
        return {
            "completed": len(prompts),
            "violations": [*_faults(prompts, answered), *_unmoved(asked, unmoved)],
            "outputs": file.name,
            "details": {
                "taken_over": taken_over,
                "changed_prompts": asked,
                "same_answers": unmoved,
                **clustered(prompt_clusters(prompts)),
            },
        }

    def _ask_changed(
        self, session: LanguageSession, prompts: Sequence[Prompt], answered: Sequence[Mapping[str, Any]]
    ) -> tuple[int, int]:
        """Asks some prompts again, their second half another's: how many, and how many answers stayed the same."""
        step = max(1, len(prompts) // _CHANGED)
        numbers = range(0, len(prompts), step)[:_CHANGED]
        unmoved = 0
        for number in numbers:
            changed = changed_prompt(prompts[number].prompt, prompts[(number + 1) % len(prompts)].prompt)
            said = session.generate(changed, self.options.tokens).text
            unmoved += said == answered[number].get("whole", answered[number]["output"])
        return len(numbers), unmoved


def changed_prompt(prompt: str, other: str) -> str:
    """The first half of a prompt's words, then the second half of another's; backwards where that changes nothing."""
    words, others = prompt.split(), other.split()
    mixed = [*words[: (len(words) + 1) // 2], *others[len(others) // 2 :]]
    return " ".join(mixed if mixed != words else ["?", *reversed(words)])


def _unmoved(asked: int, unmoved: int) -> list[str]:
    return [f"{unmoved} of {asked} changed prompts got the answer of the unchanged one"] if 2 * unmoved > asked else []


def answers_so_far(folders: Sequence[Path], outputs: Path, conditions: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What a run that was stopped had answered under the same conditions, less than an hour ago; empty if nothing."""
    for folder in folders:
        try:
            head, *lines = read_lines((folder / outputs.name).with_suffix(PART))
            age = datetime.now(UTC) - datetime.fromisoformat(head["started"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if head["conditions"] == conditions and age.total_seconds() < MOST_AGE_S and lines:
            return lines
    return []


def scored_part(text: str, after: str) -> str:
    """What follows the last ``after`` in an answer, without blanks around it; empty where the mark did not come."""
    return text.rpartition(after)[2].strip() if after in text else ""


def _answer(prompt: Prompt, said: Generation, nll: float, after: str) -> dict[str, Any]:
    whole = {"whole": said.text, "after": after} if after else {}
    return {
        "prompt": prompt.prompt,
        "reference": prompt.reference,
        "output": scored_part(said.text, after) if after else said.text,
        **whole,
        "tokens": said.tokens,
        "prompt_tokens": said.prompt_tokens,
        "ended": said.ended,
        "ttft_s": said.ttft_s,
        "seconds": said.wall_s,
        "nll": nll,
    }


def _faults(prompts: Sequence[Prompt], answered: Sequence[Mapping[str, Any]]) -> list[str]:
    """What shows that the outputs are no honest answers."""
    found = check_answers(
        [prompt.prompt for prompt in prompts],
        [answer["output"] for answer in answered],
        [prompt.reference for prompt in prompts],
        [not answer["ended"] for answer in answered],
    )
    return found.violations()
