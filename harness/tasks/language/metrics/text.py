"""How good a language model's answers are: METEOR, chrF, BLEU, likelihood, divergence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from harness.core.errors import KpiError
from harness.core.units import COUNT, NUMBER, SHARE
from harness.judge.metrics.base import ProofMetric, SampleMetric
from harness.spec.tasks import PROMPTS

if TYPE_CHECKING:
    from harness.measure.records import ProcessRecord
    from harness.tasks.language.scenarios.answer import Answers


class _Text(SampleMetric):
    scenario = "answer"
    tasks = PROMPTS


class TextScore(_Text):
    """A score of each answer from 0 to 1; answers that were cut off, are empty or all alike are not scored."""

    dimension = SHARE
    better = "higher"
    range = (0.0, 1.0)
    worthless = 0.0

    @classmethod
    def check(cls, outputs: Answers, recipe: str) -> None:
        outputs.require(recipe)

    @classmethod
    def remarks(cls, outputs: Answers, reference: Any) -> list[str]:
        del reference
        return outputs.remarks()


class Meteor(TextScore):
    """METEOR of each answer with WordNet's synonyms; the corpus score is their mean. Banerjee and Lavie 2005."""

    name = "accuracy.meteor"
    title = "METEOR"

    @classmethod
    def scores(cls, outputs: Answers, reference: Any) -> list[float]:
        del reference
        from harness.tasks.language.scoring import meteor, wordnet

        return meteor.scores(outputs.outputs, outputs.references, wordnet.load())

    @classmethod
    def identity(cls) -> dict[str, str]:
        from harness.tasks.language.scoring import meteor, wordnet

        return meteor.identity(wordnet.load())

    @classmethod
    def needs(cls) -> str:
        from harness.tasks.language.scoring import wordnet

        found = wordnet.load()
        return f"WordNet {found.version} from {found.origin}, synonyms match"


class _Overlap(TextScore):
    counted: ClassVar[str]

    @classmethod
    def scores(cls, outputs: Answers, reference: Any) -> list[float]:
        del reference
        from harness.tasks.language.scoring import overlap

        return overlap.SENTENCE_SCORES[cls.counted](outputs.outputs, outputs.references)

    @classmethod
    def identity(cls) -> dict[str, str]:
        from harness.tasks.language.scoring import overlap

        return {cls.counted: overlap.identity()[cls.counted]}

    @classmethod
    def needs(cls) -> str:
        return f"sacrebleu {cls.identity()[cls.counted].rpartition(':')[2]}"


class Chrf(_Overlap):
    """chrF of each answer, in 0..1; the mean over answers, not the corpus score. Popović 2015."""

    name = "accuracy.chrf"
    title = "chrF"
    counted = "chrf"


class Bleu(_Overlap):
    """Sentence BLEU of each answer, in 0..1; the mean over answers, not the corpus score. Papineni et al. 2002."""

    name = "accuracy.bleu"
    title = "sentence BLEU"
    counted = "sentence_bleu"


class Nll(_Text):
    """Formula: mean over a reference's tokens of -ln p(token | prompt, tokens before), by the runtime under test."""

    name = "accuracy.nll"
    title = "negative log-likelihood per reference token"
    dimension = NUMBER
    better = "lower"

    @classmethod
    def scores(cls, outputs: Answers, reference: Any) -> list[float]:
        del reference
        return outputs.nll


class Kl(_Text):
    """Formula: mean over a reference's tokens of KL(p_reference || p), p over the next token; in nats.

    Of the first prompts only (the scenario's ``compared``): distributions are large.
    """

    name = "accuracy.kl"
    title = "divergence from FP32's next-token distribution"
    dimension = NUMBER
    better = "lower"
    needs_reference = True

    @classmethod
    def scores(cls, outputs: Answers, reference: Any) -> list[float]:
        import numpy as np

        if reference is None or len(reference.chances) != len(outputs.chances):
            raise KpiError("the two recipes kept the distributions of different prompts", "set `compared` alike")
        found = []
        for own, other in zip(outputs.chances, reference.chances, strict=True):
            if own.shape != other.shape:
                raise KpiError("the two recipes split a reference into different tokens")
            divergence = (np.exp(other) * (other - own)).sum(axis=-1).mean()
            # Kept in half precision, sums may fall a hair below zero.
            found.append(max(0.0, float(divergence)))
        return found


class ParityAnswers(ProofMetric):
    """How many rules of honest answering the outputs break: empty, cut off, out of proportion, all alike."""

    name = "parity.answers"
    title = "broken rules of answering"
    dimension = COUNT
    better = "lower"
    scenario = "answer"
    tasks = PROMPTS

    @classmethod
    def of(cls, process: ProcessRecord) -> float:
        return float(len(process.violations))
