"""Checks that outputs are answers: a score must not be earned by saying nothing, everything or always the same."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.core.errors import KpiError
from harness.tasks.language.scoring.tokens import check_pairs, tokenize

SHORTEST, LONGEST = 0.3, 3.0


@dataclass(frozen=True, slots=True)
class Limits:
    """The largest share of the outputs, in 0..1, that each fault may have: chosen by judgement, not measured.

    ``repeated`` bounds how far the outputs' share of repeats may lie above that of the references.
    """

    empty: float = 0.01
    unfinished: float = 0.01
    length: float = 0.05
    repeated: float = 0.02

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is a share in 0..1, not {getattr(self, name)}")


DEFAULT = Limits()
SCORED = Limits(repeated=0.01)
"""What a score may be taken of."""


@dataclass(frozen=True, slots=True)
class Answers:
    """How many of ``outputs`` outputs have which fault; all fields are counts of outputs.

    ``empty``: no token at all. ``unfinished``: the token limit came before the end token. ``short``, ``long``: less
    than 0.3 or more than 3 times as many tokens as the reference (exactly that is allowed; empty ones count only as
    empty). ``repeated``: says what another prompt was answered with before, in the same tokens, empty ones left out;
    ``references_repeated``: the same, of the references.
    """

    outputs: int
    empty: int
    unfinished: int
    short: int
    long: int
    repeated: int
    references_repeated: int

    def violations(self, limits: Limits = DEFAULT) -> list[str]:
        """One line for each fault that more outputs have than ``limits`` allows; none if all is well."""
        outside = self.short + self.long
        surplus = max(self.repeated - self.references_repeated, 0)
        shown = {
            "empty": (self.empty, "are empty"),
            "unfinished": (self.unfinished, "hit the token limit before they ended"),
            "length": (
                outside,
                f"have less than {SHORTEST:g} or more than {LONGEST:g} times the tokens of their reference",
            ),
            "repeated": (surplus, "repeat the answer to another prompt, beyond what the references repeat"),
        }
        lines = []
        for fault, (count, what) in shown.items():
            limit: float = getattr(limits, fault)
            if count > limit * self.outputs:
                share = f"{count} of {self.outputs} outputs ({count / self.outputs:.1%})"
                lines.append(f"{share} {what}; at most {limit:.1%} may")
        return lines


def require_answers(
    prompts: Sequence[str],
    outputs: Sequence[str],
    references: Sequence[str],
    ended: Sequence[bool],
    *,
    whose: str,
    option: str,
    tokens: int,
    after: str = "",
    limits: Limits = SCORED,
) -> None:
    """KpiError where too many outputs were cut off, are empty or repeat each other: a score of them says nothing.

    ``whose`` names the recipe; ``option`` is the setting of the token limit, as it is written in the TOML, ``tokens``
    its value; ``after`` is the mark behind which an answer begins, empty where all of it is scored.
    """
    found = check_answers(prompts, outputs, references, [not end for end in ended])
    compare = "compare them with the prompts in results/"
    of = f"of {found.outputs} answers of {whose}"
    if found.unfinished > limits.unfinished * found.outputs:
        raise KpiError(f"{found.unfinished} {of} hit {tokens} tokens", f"raise {option}")
    if found.empty > limits.empty * found.outputs:
        if after:
            remedy = f"raise {option}, or switch the thoughts off with the runtime's chat_template_kwargs"
            raise KpiError(f"{found.empty} {of} have no text after {after}", remedy)
        raise KpiError(f"{found.empty} {of} are empty", compare)
    surplus = found.repeated - found.references_repeated
    if surplus > limits.repeated * found.outputs:
        raise KpiError(f"{surplus} {of} repeat the answer to another prompt", compare)


def check_answers(
    prompts: Sequence[str], outputs: Sequence[str], references: Sequence[str], unfinished: Sequence[bool]
) -> Answers:
    """Counts the faults of ``outputs``; ``unfinished`` is true where the token limit came before the end token.

    Lengths are in tokens of ``tokens``. Raises a ValueError where lengths differ, there is no output at
    all or a reference is empty.
    """
    check_pairs(outputs, references)
    if not outputs or not len(prompts) == len(unfinished) == len(outputs):
        raise ValueError(f"{len(outputs)} outputs need one prompt and one flag each, and at least one output")
    said = [tuple(tokenize(output)) for output in outputs]
    meant = [tuple(tokenize(reference)) for reference in references]
    ratios = [len(output) / len(reference) for output, reference in zip(said, meant, strict=True) if output]
    return Answers(
        outputs=len(outputs),
        empty=sum(not output for output in said),
        unfinished=sum(map(bool, unfinished)),
        short=sum(ratio < SHORTEST for ratio in ratios),
        long=sum(ratio > LONGEST for ratio in ratios),
        repeated=_repeated(zip(prompts, said, strict=True)),
        references_repeated=_repeated(zip(prompts, meant, strict=True)),
    )


def _repeated(answers: Iterable[tuple[str, tuple[str, ...]]]) -> int:
    """How many (prompt, answer) pairs say what another prompt's pair said before; the same prompt may repeat itself."""
    different = {(prompt, answer) for prompt, answer in answers if answer}
    return len(different) - len({answer for _, answer in different})
