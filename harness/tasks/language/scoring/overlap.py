"""chrF and BLEU of outputs against references, computed by sacrebleu, with its own signatures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.core.libraries import require
from harness.tasks.language.scoring.tokens import check_pairs


def chrf(outputs: Sequence[str], references: Sequence[str]) -> list[float]:
    """One chrF2 per output, in 0..1: the F-score, recall counted twice, of character n-grams up to 6, spaces left out.

    It needs no words, so it serves languages that METEOR does not. Raises a ValueError where lengths differ or a
    reference is empty, Unavailable without sacrebleu.
    Source: Popović, "chrF: character n-gram F-score for automatic MT evaluation", WMT (2015).
    """
    check_pairs(outputs, references)
    return _sentences(_chrf(), outputs, references)


def sentence_bleu(outputs: Sequence[str], references: Sequence[str]) -> list[float]:
    """One BLEU per output, in 0..1: n-grams up to 4, or as many as a shorter output has.

    Orders without a match are smoothed exponentially. The mean is not corpus BLEU. Raises as ``chrf`` does.
    Source: Papineni et al., "BLEU: a Method for Automatic Evaluation of Machine Translation", ACL (2002); effective
    order and smoothing are sacrebleu's: Post, "A Call for Clarity in Reporting BLEU Scores", WMT (2018).
    """
    check_pairs(outputs, references)
    return _sentences(_bleu(effective_order=True), outputs, references)


def corpus_bleu(outputs: Sequence[str], references: Sequence[str]) -> float:
    """BLEU of all outputs together, in 0..1: the figure that papers give times 100.

    Raises as ``chrf`` does, and a ValueError where there is no output at all. Source: as ``sentence_bleu``.
    """
    check_pairs(outputs, references)
    if not outputs:
        raise ValueError("BLEU of no outputs is not defined")
    return _share(_bleu(effective_order=False).corpus_score(list(outputs), [list(references)]).score)


SENTENCE_SCORES = {"chrf": chrf, "sentence_bleu": sentence_bleu}


def identity() -> dict[str, str]:
    """The signature that sacrebleu gives each score, its version included, after its name, which alone tells beta."""
    metrics = {
        "chrf": _chrf(),
        "sentence_bleu": _bleu(effective_order=True),
        "corpus_bleu": _bleu(effective_order=False),
    }
    # A signature counts the references, so sacrebleu gives it only once something was scored.
    named = {name: (metric.corpus_score(["a"], [["a"]]).name, metric) for name, metric in metrics.items()}
    return {name: f"{title}|{metric.get_signature()}" for name, (title, metric) in named.items()}


def _chrf() -> Any:
    return _sacrebleu().CHRF(char_order=6, word_order=0, beta=2, lowercase=False, whitespace=False, eps_smoothing=False)


def _bleu(*, effective_order: bool) -> Any:
    return _sacrebleu().BLEU(
        tokenize="13a",
        lowercase=False,
        max_ngram_order=4,
        smooth_method="exp",
        effective_order=effective_order,
        force=True,  # no warning where outputs end in " .": they are scored as they are
    )


def _sacrebleu() -> Any:
    return require("sacrebleu.metrics")


def _sentences(metric: Any, outputs: Sequence[str], references: Sequence[str]) -> list[float]:
    pairs = zip(outputs, references, strict=True)
    return [_share(metric.sentence_score(output, [reference]).score) for output, reference in pairs]


def _share(percent: float) -> float:
    # A perfect BLEU is exp(log(100)) here, a hair above 100.
    return min(max(percent / 100, 0.0), 1.0)
