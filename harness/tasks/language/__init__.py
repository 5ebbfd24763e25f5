"""Language models: prompts in, text out, in one process or behind an HTTP endpoint."""

from __future__ import annotations

from harness.spec.tasks import Task
from harness.tasks.language.space import language_space

_PLAYS = {"single-stream": "generate", "offline": "generate", "server": "load"}
TASKS = tuple(
    Task(name, requests="prompts", plays=_PLAYS, hub=name, space=language_space)
    for name in ("text-generation", "translation")
)
