"""What an adapter is worth, and what switching it costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.core.errors import KpiError
from harness.core.statistics import median
from harness.core.units import COUNT, POINTS, TIME
from harness.judge.metrics.base import ProcessMetric, SampleMetric
from harness.spec.tasks import PROMPTS

if TYPE_CHECKING:
    from harness.measure.records import ProcessRecord
    from harness.tasks.language.scenarios.adapter_answers import AdapterAnswers

_NONE = "the artifact has no adapter"
_REMEDY = 'make them with the passes "lora" and "adapters", and choose a runtime that loads them'


class AdapterGain(SampleMetric):
    """Formula: mean over prompts of task score with the adapter - task score without, both asked in one session.

    The task score is that of ``accuracy.task``. The interval of the paired differences decides, also for a plain
    bound.
    """

    name = "adapter.gain"
    title = "what the adapter adds to the task's score"
    dimension = POINTS
    better = "higher"
    scenario = "adapter-answers"
    tasks = PROMPTS
    range = (-1.0, 1.0)
    paired = True

    @classmethod
    def check(cls, outputs: AdapterAnswers, recipe: str) -> None:
        if not outputs.adapter:
            raise KpiError(_NONE, _REMEDY)
        outputs.require(recipe)

    @classmethod
    def scores(cls, outputs: AdapterAnswers, reference: object) -> list[float]:
        del reference
        from harness.tasks.language.scoring.slots import slot_scores

        on, off = slot_scores(outputs.on, outputs.references), slot_scores(outputs.off, outputs.references)
        return [own - other for own, other in zip(on, off, strict=True)]


class ParityAdapter(SampleMetric):
    """Formula: rules broken / prompts. With the adapter off each token is that of the reference recipe (a base model
    that has no adapters); switched off and on again, a prompt gets the very tokens that it got before.
    """  # noqa: D205 - one thought

    name = "parity.adapter"
    title = "broken rules of switching an adapter, per prompt"
    dimension = COUNT
    better = "lower"
    scenario = "adapter-answers"
    tasks = PROMPTS
    needs_reference = True

    @classmethod
    def scores(cls, outputs: AdapterAnswers, reference: AdapterAnswers | None) -> list[float]:
        return [float(len(broken)) for broken in _broken(outputs, reference)]

    @classmethod
    def remarks(cls, outputs: AdapterAnswers, reference: AdapterAnswers | None) -> list[str]:
        """The prompts that are answered otherwise than they should be."""
        return [f"prompt {n}: {rule}" for n, rules in enumerate(_broken(outputs, reference), 1) for rule in rules]


class AdapterSwitch(ProcessMetric):
    """Formula: the median over switches of (first token's time - time when another adapter was asked for).

    It includes the first token, for until then the switch has no visible effect: the prompt is read again, since no
    adapter can go on from another's cache. What the same prompt takes without a switch is in the evidence
    (``stayed_s``). All adapters are loaded before; off counts as one of them.
    """

    name = "adapter.switch"
    title = "time to switch the adapter, with the first token"
    dimension = TIME
    better = "lower"
    scenario = "adapter-switch"
    tasks = PROMPTS

    @classmethod
    def of(cls, process: ProcessRecord) -> float:
        return median(process.series["switch_s"])


def _broken(outputs: AdapterAnswers, reference: AdapterAnswers | None) -> list[list[str]]:
    """For each prompt, the rules that its answers break."""
    if not outputs.adapter:
        raise KpiError(_NONE, _REMEDY)
    if reference is None or len(reference.off_ids) != len(outputs.off_ids):
        raise KpiError("the two recipes answered different prompts")
    if not all(reference.off_ids) or not all(outputs.off_ids):
        raise KpiError("a runtime does not say which tokens it made", "choose another for the reference recipe")
    found = []
    for own, base, faults in zip(outputs.off_ids, reference.off_ids, outputs.faults, strict=True):
        first = next((i for i, (a, b) in enumerate(zip(own, base, strict=False), 1) if a != b), None)
        if first is None and len(own) != len(base):
            first = min(len(own), len(base)) + 1
        found.append([*([f"off, token {first} is not the base model's"] if first else []), *faults])
    return found
