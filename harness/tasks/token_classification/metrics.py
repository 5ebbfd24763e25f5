"""How often words get the right class, and how many entities are found."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.core.errors import KpiError
from harness.core.libraries import require, version_of
from harness.core.units import SHARE
from harness.judge.metrics.base import SampleMetric
from harness.judge.metrics.whole_set import SetMetric
from harness.judge.metrics.worth import check_better_than_shuffled
from harness.tasks.token_classification import TAGGING, Tagging
from harness.workloads.classes import check_decisions
from harness.workloads.files.lines import IGNORED

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from harness.core.score_bounds import Scored
    from harness.measure.records import Outputs

    Rows = list[npt.NDArray[np.int64]]

_AXES = 3  # samples, tokens, classes


def tagging(outputs: Outputs) -> Tagging:
    """The settings of the task."""
    return Tagging(**outputs.task)


def check_outputs(outputs: Outputs, recipe: str) -> None:
    """Raises KpiError where answers are not (samples, tokens, classes), or labels not (samples, tokens) of words."""
    import numpy as np

    count, shape = len(tagging(outputs).tags), outputs.logits.shape
    if len(shape) != _AXES:
        raise KpiError(
            f"{recipe} answers {shape[1:]} for each sample, expected (tokens, {count}): a score for each class",
            'mark the output that is meant: scored = "NAME"',
        )
    if shape[2] != count:
        raise KpiError(
            f"{recipe} answers {shape[2]} classes for each token, tags names {count}",
            "name all classes in the order of the model's: its config.json has them as id2label",
        )
    labels = np.asarray(outputs.labels)
    # Where lengths vary, labels have room for the longest of all samples.
    if labels.ndim != _AXES - 1 or len(labels) != shape[0] or (labels[:, shape[1] :] != IGNORED).any():
        raise KpiError(
            f"{recipe} answers {shape[1]} tokens for each sample, the labels have the shape {labels.shape}",
            'labels are for words: words = "tokens" in [workload.NAME.preprocess], and a list of tags in each line',
        )
    if not (labels != IGNORED).any():
        raise KpiError("no word has a label", "give each line a list of tags")


def check_words(outputs: Outputs, recipe: str) -> None:
    """Raises KpiError where a recipe that others are compared with decides no better than always the same class."""
    import numpy as np

    check_decisions(np.concatenate(decided(outputs)), np.concatenate(right(outputs)), recipe, "words")


def decided(outputs: Outputs) -> Rows:
    """For each sample the class that each word gets, in the order of the words."""
    import numpy as np

    judged = np.asarray(outputs.labels)[:, : outputs.logits.shape[1]] != IGNORED
    return [np.argmax(logits[row], axis=-1) for logits, row in zip(outputs.logits, judged, strict=True)]


def right(outputs: Outputs) -> Rows:
    """For each sample the class that each word has."""
    import numpy as np

    labels = np.asarray(outputs.labels)
    return [row[row != IGNORED] for row in labels]


class TokenMetric(SampleMetric):
    """A share of words; a sentence counts as its words do."""

    dimension = SHARE
    better = "higher"
    range = (0.0, 1.0)
    tasks = TAGGING

    @classmethod
    def check(cls, outputs: Outputs, recipe: str) -> None:
        check_outputs(outputs, recipe)

    @classmethod
    def check_compared(cls, outputs: Outputs, recipe: str) -> None:
        check_words(outputs, recipe)

    @classmethod
    def scores(cls, outputs: Outputs, reference: Outputs | None) -> list[float]:
        import numpy as np

        wanted = right(outputs) if reference is None else decided(reference)
        total = sum(map(len, wanted))
        same = [int(np.sum(a == b)) for a, b in zip(decided(outputs), wanted, strict=True)]
        return [hits * len(wanted) / total for hits in same]

    @classmethod
    def weights(cls, outputs: Outputs) -> list[float]:
        words = [len(row) for row in right(outputs)]
        return [count * len(words) / sum(words) for count in words]


class Tokens(TokenMetric):
    """Formula: words with the right class / words; the class of a word is that of its first token."""

    name = "accuracy.tokens"
    title = "words with the right tag"

    @classmethod
    def scores(cls, outputs: Outputs, reference: Outputs | None) -> list[float]:
        del reference
        return super().scores(outputs, None)


class ParityTags(TokenMetric):
    """Formula: words that get the class that the workload's reference recipe gives them / words."""

    name = "parity.tags"
    title = "same tag as FP32"
    needs_reference = True

    @classmethod
    def scores(cls, outputs: Outputs, reference: Outputs | None) -> list[float]:
        assert reference is not None
        return super().scores(outputs, reference)


@dataclass(frozen=True, slots=True)
class _Counts:
    """Of each sample: entities that there are, that were found, and that were found rightly."""

    there: Sequence[int]
    found: Sequence[int]
    both: Sequence[int]


class EntityF1(SetMetric):
    """Formula: 2 x entities found rightly / (entities there + entities found), over all samples.

    An entity is right where its first word, its last word and its kind are. seqeval says which entities there are;
    this is its f1_score, micro. Without any entity there and any found it is 1.
    """

    name = "accuracy.entity_f1"
    title = "F1 of entities"
    dimension = SHARE
    better = "higher"
    range = (0.0, 1.0)
    worthless = 0.0
    tasks = TAGGING

    @classmethod
    def needs(cls) -> str:
        require("seqeval")
        return f"seqeval {cls.identity()['seqeval']}"

    @classmethod
    def identity(cls) -> dict[str, str]:
        return {"seqeval": version_of("seqeval") or "unknown"}

    @classmethod
    def scored_with(cls, outputs: Outputs) -> dict[str, str]:
        how = tagging(outputs)
        return {**cls.identity(), "scheme": how.scheme, "strict": str(how.strict).lower()}

    @classmethod
    def check(cls, outputs: Outputs, recipe: str) -> None:
        check_outputs(outputs, recipe)
        if tagging(outputs).scheme == "none":
            raise KpiError(
                'classes that are no entities (scheme = "none") have no F1 of entities', "use accuracy.tokens"
            )

    @classmethod
    def check_compared(cls, outputs: Outputs, recipe: str) -> None:
        """What others are held against finds what is in a sentence, not what is in any."""
        check_words(outputs, recipe)
        check_better_than_shuffled(getattr(cls, "whole", cls), outputs, recipe)

    @classmethod
    def figure(cls, outputs: Outputs, reference: Outputs | None) -> float:
        cls.check(outputs, "the model")
        counts = counted(outputs)
        return cls.of(counts, reference, range(cls.count(counts)))

    @classmethod
    def scored(cls, outputs: Outputs, reference: Outputs | None, clusters: Sequence[int] | None) -> Scored:
        # Entities are looked for once, whatever is left out.
        return super().scored(counted(outputs), reference, clusters)

    @classmethod
    def count(cls, outputs: _Counts) -> int:
        return len(outputs.there)

    @classmethod
    def of(cls, outputs: _Counts, reference: Outputs | None, places: Sequence[int]) -> float:
        del reference
        there, found, both = (
            math.fsum(values[place] for place in places) for values in (outputs.there, outputs.found, outputs.both)
        )
        return 2 * both / (there + found) if there + found else 1.0

    @classmethod
    def remarks(cls, outputs: Outputs, reference: Outputs | None) -> list[str]:
        del reference
        counts = counted(outputs)
        return [] if sum(counts.there) else ["the evaluation samples hold no entity"]


def counted(outputs: Outputs) -> _Counts:
    """The entities of each sample, as seqeval finds them. Raises Unavailable where it is not installed."""
    how = tagging(outputs)
    tags = list(how.tags)
    there, found = (
        [_entities([tags[tag] for tag in row], how) for row in rows] for rows in (right(outputs), decided(outputs))
    )
    both = [len(a & b) for a, b in zip(there, found, strict=True)]
    return _Counts([len(one) for one in there], [len(one) for one in found], both)


def _entities(tags: Sequence[str], how: Tagging) -> set[tuple[Any, ...]]:
    """The entities of a sentence: kind, first word, last word."""
    if not tags:
        return set()
    if not how.strict:
        library: Any = require("seqeval.metrics.sequence_labeling", "seqeval")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            return set(library.get_entities(list(tags)))
    scheme: Any = require("seqeval.scheme", "seqeval")
    kind = {"IOB2": scheme.IOB2, "BIOES": scheme.IOBES}[how.scheme]
    return {entity.to_tuple()[1:] for entity in scheme.Tokens(list(tags), kind).entities}
