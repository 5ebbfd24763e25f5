"""How well and how fast speech is recognized: word error rate, real-time factor, what an hour of sound costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.metrics.base import PricedMetric, ProcessMetric, SampleMetric
from harness.statistics import median
from harness.tasks import SPEECH
from harness.text import words
from harness.units import NUMBER, SHARE, TIME

if TYPE_CHECKING:
    from harness.measure.records import ProcessRecord
    from harness.scenarios.recognize import Recognized


class _Transcribed(ProcessMetric):
    scenario = "transcribe"
    better = "lower"
    tasks = SPEECH


class Rtf(_Transcribed):
    """Formula: seconds from samples to text, summed over utterances / seconds of their sound."""

    name = "rtf"
    title = "real-time factor"
    dimension = NUMBER

    @classmethod
    def of(cls, process: ProcessRecord) -> float:
        return _factor(process)


class LatencyAudioSecond(_Transcribed):
    """Formula: the median over utterances of (seconds from samples to text / seconds of sound)."""

    name = "latency.audio_second.p50"
    title = "median latency per second of audio"
    dimension = TIME

    @classmethod
    def of(cls, process: ProcessRecord) -> float:
        return median([t / s for t, s in zip(process.samples_s, process.series["audio_s"], strict=True)])


class CostPerAudioHour(PricedMetric):
    """Formula: price of an hour x real-time factor, one utterance at a time."""

    name = "cost.per_audio_hour"
    title = "cost of an hour of audio"
    scenario = "transcribe"
    tasks = SPEECH

    @classmethod
    def of(cls, process: ProcessRecord) -> float:
        return _factor(process)


class Wer(SampleMetric):
    """Formula: (substitutions + deletions + insertions) / words of the references, over all recordings.

    A recording's score is its edits x recordings / all reference words, so that the mean of the scores is the rate of
    the corpus, and recipes are still compared recording by recording.
    """

    name = "accuracy.wer"
    title = "word error rate"
    dimension = SHARE
    better = "lower"
    worthless = 1.0
    scenario = "recognize"
    tasks = SPEECH

    @classmethod
    def scores(cls, outputs: Recognized, reference: Any) -> list[float]:
        del reference
        found = words.word_errors(outputs.texts, outputs.references)
        total = sum(errors.reference_words for errors in found)
        return [errors.edits * len(found) / total for errors in found]

    @classmethod
    def identity(cls) -> dict[str, str]:
        return words.identity()

    @classmethod
    def needs(cls) -> str:
        words.word_errors([], [])
        return f"jiwer {words.identity()['jiwer']}"


def _factor(process: ProcessRecord) -> float:
    return sum(process.samples_s) / sum(process.series["audio_s"])
