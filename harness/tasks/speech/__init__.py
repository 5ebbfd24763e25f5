"""Speech recognition: recordings in, text out."""

from __future__ import annotations

from harness.spec.tasks import Task
from harness.tasks.speech.space import speech_space

_PLAYS = {"single-stream": "transcribe", "offline": "transcribe"}
TASKS = (
    Task(
        "speech-recognition",
        requests="recordings",
        plays=_PLAYS,
        hub="automatic-speech-recognition",
        space=speech_space,
    ),
)
