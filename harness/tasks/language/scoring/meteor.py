"""METEOR of outputs against references, computed by NLTK, with everything pinned that moves it."""

from __future__ import annotations

from collections.abc import Sequence

from harness.tasks.language.scoring import tokens
from harness.tasks.language.scoring.wordnet import WordNet

IMPLEMENTATION = "nltk.translate.meteor_score.single_meteor_score"

# Those of Banerjee & Lavie (2005): recall weighs nine times as much as precision, F = 10 P R / (R + 9 P), and words
# that match in c chunks of m words cost 0.5 (c / m)^3. They are NLTK's defaults too, which a release may change.
ALPHA, BETA, GAMMA = 0.9, 3.0, 0.5


def scores(outputs: Sequence[str], references: Sequence[str], wordnet: WordNet) -> list[float]:
    """One METEOR score per output, from 0 (no word matches) towards 1; an empty output scores 0.

    A perfect match of m tokens scores 1 - 0.5 / m^3, one chunk of m words: 0.5 for a single token, 0.9995 for ten.
    Words match as they are, by Porter stem, then by WordNet synonym. NLTK takes the last word that fits instead of
    the alignment with the fewest crossings that the paper asks for, so scores compare only with NLTK's.
    Raises a ValueError where lengths differ or a reference is empty; it names the index.
    Source: Banerjee & Lavie, "METEOR: An Automatic Metric for MT Evaluation with Improved Correlation with Human
    Judgments", ACL workshop on evaluation measures (2005).
    """
    from nltk.stem.porter import PorterStemmer
    from nltk.translate.meteor_score import single_meteor_score

    tokens.check_pairs(outputs, references)
    stemmer = PorterStemmer(mode=PorterStemmer.NLTK_EXTENSIONS)
    return [
        single_meteor_score(
            tokens.tokenize(reference),
            tokens.tokenize(output),
            stemmer=stemmer,
            wordnet=wordnet.reader,
            alpha=ALPHA,
            beta=BETA,
            gamma=GAMMA,
        )
        for output, reference in zip(outputs, references, strict=True)
    ]


def identity(wordnet: WordNet) -> dict[str, str]:
    """What the scores depend on; two runs compare if these agree, ``wordnet_origin`` apart. It holds no path."""
    import nltk

    return {
        "implementation": IMPLEMENTATION,
        "nltk": nltk.__version__,
        "parameters": f"alpha={ALPHA} beta={BETA} gamma={GAMMA}",
        "stemmer": "Porter (NLTK_EXTENSIONS)",
        **tokens.identity(),
        "wordnet": wordnet.version,
        "wordnet_sha256": wordnet.digest,
        "wordnet_origin": wordnet.origin,
    }
