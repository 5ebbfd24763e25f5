"""A speech recognizer hears every evaluation recording once, for the errors of its words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.json_lines import line, read_lines, write_list
from harness.media.audio import RATE
from harness.runtimes.speech import SpeechSession
from harness.scenarios.base import Scenario, Scored, Stage
from harness.speech import read_utterances

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Recognized:
    """What was heard in each recording, and what was said, in the order of the transcripts."""

    ids: list[str]
    texts: list[str]
    references: list[str]


class Recognize(Scenario[SpeechSession], Scored):
    """Greedy transcripts of all recordings; they go to a file."""

    name = "recognize"
    title = "the evaluation recordings"
    drives = SpeechSession
    timed = False

    @classmethod
    def read(cls, file: Path) -> Recognized:
        lines = read_lines(file)
        return Recognized(*([said[key] for said in lines] for key in ("id", "text", "reference")))

    @classmethod
    def publish(cls, file: Path, results: Path) -> None:
        """``results.json`` of a recipe: a list of id, text, reference, tokens, seconds of sound and of work."""
        write_list(file, results)

    def first(self, stage: Stage) -> Callable[[SpeechSession], Mapping[str, npt.NDArray[np.generic]]]:
        samples = read_utterances(stage.requests)[0].samples

        def ask(session: SpeechSession) -> Mapping[str, npt.NDArray[np.generic]]:
            session.transcribe(samples)
            return {}

        return ask

    def play(self, session: SpeechSession, stage: Stage) -> dict[str, Any]:
        utterances = read_utterances(stage.requests)
        file = stage.outputs.with_suffix(".jsonl")
        with file.open("w", encoding="utf-8") as out, stage.scored():
            for number, utterance in enumerate(utterances):
                said = session.transcribe(utterance.samples)
                heard = {
                    "id": utterance.id,
                    "text": said.text,
                    "reference": utterance.reference,
                    "tokens": said.tokens,
                    "audio_s": len(utterance.samples) / RATE,
                    "seconds": said.wall_s,
                }
                out.write(line(heard))
                if number % 20 == 0:
                    stage.progress(f"{number + 1} of {len(utterances)} recordings")
        return {"completed": len(utterances), "outputs": file.name}
