"""How well and how fast speech is recognized: error rates, real-time factor, what an hour of sound costs."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from harness.core.units import NUMBER, SHARE
from harness.judge.metrics.base import ProcessMetric, SampleMetric
from harness.judge.metrics.latency import Latency
from harness.judge.metrics.priced import PricedMetric
from harness.spec.tasks import RECORDINGS
from harness.tasks.speech import words
from harness.tasks.speech.normalization import Normalize, identity, normalizer

if TYPE_CHECKING:
    from harness.measure.records import ProcessRecord
    from harness.tasks.speech.scenarios.recognize import Recognized


class _Transcribed(ProcessMetric):
    scenario = "transcribe"
    better = "lower"
    tasks = RECORDINGS


class Rtf(_Transcribed):
    """Formula: seconds from samples to text, summed over utterances / seconds of their sound."""

    name = "rtf"
    drawn = True
    title = "real-time factor"
    dimension = NUMBER

    @classmethod
    def of(cls, process: ProcessRecord) -> float:
        return _factor(process)


class LatencyAudioSecond(Latency):
    """Formula: the median over utterances of (seconds from samples to text / seconds of sound)."""

    name = "latency.audio_second.p50"
    drawn = True
    title = "median latency per second of audio"
    scenario = "transcribe"
    tasks = RECORDINGS
    quantile = 0.50

    @classmethod
    def values(cls, process: ProcessRecord) -> Sequence[float]:
        return [t / s for t, s in zip(process.samples_s, process.series["audio_s"], strict=True)]


class CostPerAudioHour(PricedMetric):
    """Formula: price of an hour x real-time factor, one utterance at a time."""

    name = "cost.per_audio_hour"
    drawn = True
    title = "cost of an hour of audio"
    scenario = "transcribe"
    tasks = RECORDINGS

    @classmethod
    def of(cls, process: ProcessRecord) -> float:
        return _factor(process)


class _ErrorRate(SampleMetric):
    """A recording's score is its edits x recordings / all units of the references.

    So the mean of the scores is the rate of the corpus, and recipes are still compared recording by recording. A
    recording weighs as its units do; that it is recognized with more errors than it has units is left aside.
    """

    dimension = SHARE
    better = "lower"
    worthless = 1.0
    ends = (0.0, 1.0)
    scenario = "recognize"
    tasks = RECORDINGS

    @classmethod
    @abstractmethod
    def errors(cls, outputs: Recognized, normalize: Normalize) -> list[words.Errors]:
        """The errors of each recording."""

    @classmethod
    def scores(cls, outputs: Recognized, reference: Any) -> list[float]:
        del reference
        found = cls._found(outputs)
        total = sum(errors.reference for errors in found)
        return [errors.edits * len(found) / total for errors in found]

    @classmethod
    def weights(cls, outputs: Recognized) -> list[float]:
        found = cls._found(outputs)
        total = sum(errors.reference for errors in found)
        return [errors.reference * len(found) / total for errors in found]

    @classmethod
    def _found(cls, outputs: Recognized) -> list[words.Errors]:
        return cls.errors(outputs, normalizer(outputs.normalization, outputs.spelling))

    @classmethod
    def identity(cls) -> dict[str, str]:
        return words.identity()

    @classmethod
    def scored_with(cls, outputs: Recognized) -> dict[str, str]:
        return {**words.identity(), **identity(outputs.normalization, outputs.spelling)}

    @classmethod
    def needs(cls) -> str:
        words.word_errors([], [])
        return f"jiwer {words.identity()['jiwer']}"


class Wer(_ErrorRate):
    """Formula: (substitutions + deletions + insertions) / words of the references, over all recordings.

    Refused where most of the references are written without spaces between words.
    """

    name = "accuracy.wer"
    title = "word error rate"

    @classmethod
    def check(cls, outputs: Recognized, recipe: str) -> None:
        del recipe
        words.require_words(outputs.references)

    @classmethod
    def errors(cls, outputs: Recognized, normalize: Normalize) -> list[words.Errors]:
        return words.word_errors(outputs.texts, outputs.references, normalize)


class Cer(_ErrorRate):
    """Formula: (substitutions + deletions + insertions) / characters of the references, over all recordings.

    Characters are Unicode code points; a space between words is one, except next to scripts written without spaces.
    """

    name = "accuracy.cer"
    title = "character error rate"

    @classmethod
    def errors(cls, outputs: Recognized, normalize: Normalize) -> list[words.Errors]:
        return words.character_errors(outputs.texts, outputs.references, normalize)


def _factor(process: ProcessRecord) -> float:
    return sum(process.samples_s) / sum(process.series["audio_s"])
