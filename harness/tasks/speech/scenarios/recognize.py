"""A speech recognizer hears every evaluation recording once, for the errors of its words."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from harness.core.errors import KpiError
from harness.core.json_lines import line, read_lines, write_list
from harness.core.registry import options_table
from harness.measure.media.audio import RATE
from harness.measure.scenarios.base import ProducesOutputs, Scenario, ScenarioContext
from harness.measure.scenarios.splits import clustered
from harness.tasks.speech.normalization import BASIC, WHISPER_ENGLISH
from harness.tasks.speech.runtimes.speech import SpeechSession
from harness.tasks.speech.workload import Speech, read_utterances, spelling

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_CHOSEN = ".chosen.json"


@dataclass(frozen=True, slots=True)
class Recognized:
    """What was heard in each recording, and what was said, in the order of the transcripts.

    ``normalization`` is how both are made comparable; ``spelling`` are words that are written in another way then.
    """

    ids: list[str]
    texts: list[str]
    references: list[str]
    normalization: str = BASIC
    spelling: Mapping[str, str] = field(default_factory=dict)


class Recognize(Scenario[SpeechSession], ProducesOutputs):
    """Greedy transcripts of all recordings; they go to a file."""

    name = "recognize"
    title = "the evaluation recordings"
    reads_workload = True
    session_type = SpeechSession
    timed = False

    @options_table
    class Options:
        """``normalization``: how texts are made comparable, ``whisper-english`` for figures as papers give them."""

        normalization: Literal["basic", "whisper-english"] = "basic"

    @classmethod
    def read(cls, file: Path) -> Recognized:
        lines, choices = read_lines(file), file.with_suffix(_CHOSEN)
        chosen = json.loads(choices.read_text(encoding="utf-8")) if choices.is_file() else {}
        ids, texts, references = ([said[key] for said in lines] for key in ("id", "text", "reference"))
        return Recognized(ids, texts, references, **chosen)

    @classmethod
    def publish(cls, file: Path, results: Path) -> None:
        """``results.json`` of a recipe: a list of id, text, reference, tokens, seconds of sound and of work."""
        write_list(file, results)

    def first_request(self, stage: ScenarioContext) -> Callable[[SpeechSession], Mapping[str, npt.NDArray[np.generic]]]:
        samples = read_utterances(stage.requests)[0].samples

        def ask(session: SpeechSession) -> Mapping[str, npt.NDArray[np.generic]]:
            session.transcribe(samples)
            return {}

        return ask

    def run(self, session: SpeechSession, stage: ScenarioContext) -> dict[str, Any]:
        utterances = read_utterances(stage.requests)
        self._choose(stage)
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
        details = clustered([utterance.cluster for utterance in utterances])
        return {"completed": len(utterances), "outputs": file.name, "details": details}

    def _choose(self, stage: ScenarioContext) -> None:
        """Writes down how the transcripts are to be compared, with the spellings that the model's folder brings."""
        chosen: dict[str, Any] = {"normalization": self.options.normalization}
        if self.options.normalization == WHISPER_ENGLISH:
            workload = stage.workload()
            if not isinstance(workload, Speech):
                raise KpiError("the fixture is of no speech recognizer")
            chosen["spelling"] = spelling(workload.folder())
        stage.outputs.with_suffix(_CHOSEN).write_text(json.dumps(chosen), encoding="utf-8")
