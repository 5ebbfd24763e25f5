"""A speech recognizer hears one utterance after another: how fast relative to the sound."""

from __future__ import annotations

import gc
import itertools
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from harness.core.registry import check_counts, options_table
from harness.measure.media.audio import RATE
from harness.measure.scenarios.base import Scenario, ScenarioContext
from harness.measure.steady import warm_up
from harness.tasks.speech.runtimes.speech import SpeechSession
from harness.tasks.speech.workload import Utterance, read_utterances

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_MOST = 20_000


class Transcribe(Scenario[SpeechSession]):
    """MLPerf's SingleStream for speech: the evaluation recordings in turn, each timed from samples to text."""

    name = "transcribe"
    request = "a recording"
    title = "one utterance at a time"
    session_type = SpeechSession

    @options_table
    class Options:
        """``utterances``: how many one process hears at least, always the first ones."""

        utterances: int = 24

        def __post_init__(self) -> None:
            check_counts(utterances=self.utterances)

    def first_request(self, stage: ScenarioContext) -> Callable[[SpeechSession], Mapping[str, npt.NDArray[np.generic]]]:
        samples = read_utterances(stage.requests)[0].samples

        def ask(session: SpeechSession) -> Mapping[str, npt.NDArray[np.generic]]:
            session.transcribe(samples)
            return {}

        return ask

    def run(self, session: SpeechSession, stage: ScenarioContext) -> dict[str, Any]:
        utterances = read_utterances(stage.requests)[: self.options.utterances]
        warmth = warm_up(lambda: session.transcribe(utterances[0].samples), window_runs=2)
        heard: list[tuple[Utterance, float, int]] = []
        gc.collect()
        gc.disable()
        with stage.watch():
            begin = end = time.perf_counter()
            for utterance in itertools.cycle(utterances):
                enough = len(heard) >= self.options.utterances and end - begin >= stage.seconds
                if enough or len(heard) >= _MOST:
                    break
                said = session.transcribe(utterance.samples)
                end = time.perf_counter()
                heard.append((utterance, said.wall_s, said.tokens))
        gc.enable()
        return {
            "completed": len(heard),
            "elapsed_s": end - begin,
            "samples_s": [seconds for _, seconds, _ in heard],
            "batch": 1,
            "warmup": warmth,
            "series": {
                "audio_s": [len(utterance.samples) / RATE for utterance, _, _ in heard],
                "tokens": [float(tokens) for _, _, tokens in heard],
            },
        }
