"""Reads questions with contexts and answers: SQuAD's files, or JSON lines of the same content."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.core.errors import KpiError, Unavailable


@dataclass(frozen=True, slots=True)
class Question:
    """A question about a context; ``answers`` are the accepted ones with the place where each begins.

    A question without answers is one that its context does not answer.
    """

    id: str
    context: str
    question: str
    answers: tuple[tuple[str, int], ...]


def read_squad(path: Path) -> list[Question]:
    """Reads a SQuAD file (1.1 or 2.0), or JSON lines with ``id``, ``context``, ``question`` and ``answers``.

    KpiError names the first question that is wrong; Unavailable when the file is not there.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise Unavailable(f"the questions {path} can't be read: {error.strerror}", "check `data`") from None
    except UnicodeDecodeError as error:
        raise KpiError(f"{path.name} is not UTF-8: byte {error.start}", "save it as UTF-8") from None
    found = [_question(data, f"{path.name} {where}") for where, data in _entries(text, path.name)]
    if not found:
        raise KpiError(f"{path.name} holds no question", "name a SQuAD file")
    return found


def _entries(text: str, name: str) -> Iterator[tuple[str, Any]]:
    """Every question as a flat object, with its place."""
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError):
        whole = None
    if whole is None or (isinstance(whole, dict) and "data" not in whole):
        for number, line in enumerate(text.split("\n"), 1):
            if line.strip():
                try:
                    yield f"line {number}", json.loads(line)
                except (ValueError, RecursionError):
                    raise KpiError(f"{name} line {number} is not JSON", "name a SQuAD file, or JSON lines") from None
        return
    try:
        for a, article in enumerate(whole["data"]):
            for p, paragraph in enumerate(article["paragraphs"]):
                for asked in paragraph["qas"]:
                    where = f"question {asked.get('id', '?')} (article {a + 1}, paragraph {p + 1})"
                    yield where, {"context": paragraph["context"], **asked}
    except (KeyError, TypeError, AttributeError) as error:
        raise KpiError(f"{name} is not shaped like SQuAD: {error}", "expected data, paragraphs, qas") from None


def _question(data: Any, where: str) -> Question:
    if not isinstance(data, dict):
        raise KpiError(f"{where} is not an object", 'write {"id", "context", "question", "answers"}')
    for key in ("context", "question"):
        if not isinstance(data.get(key), str):
            raise KpiError(f'{where} lacks "{key}"', f'give "{key}" as text')
        if not data[key].strip():
            raise KpiError(f'{where}: "{key}" is empty', "remove the question, or give it one")
    answers = data.get("answers", [])
    if isinstance(answers, dict):
        texts, starts = answers.get("text"), answers.get("answer_start")
        if not isinstance(texts, list) or not isinstance(starts, list) or len(texts) != len(starts):
            raise KpiError(f'{where}: "answers" needs as many "text" as "answer_start"', "give both as lists")
        answers = [{"text": t, "answer_start": s} for t, s in zip(texts, starts, strict=True)]
    if not isinstance(answers, list):
        raise KpiError(f'{where}: "answers" is not a list', "give a list, empty where there is no answer")
    return Question(
        str(data.get("id", where)),
        data["context"],
        data["question"],
        tuple(_answer(answer, data["context"], where) for answer in answers),
    )


def _answer(answer: Any, context: str, where: str) -> tuple[str, int]:
    text = answer.get("text") if isinstance(answer, dict) else None
    start = answer.get("answer_start") if isinstance(answer, dict) else None
    if not isinstance(text, str) or not text or not isinstance(start, int) or isinstance(start, bool):
        raise KpiError(f'{where}: an answer needs "text" and "answer_start"', "give both")
    if start < 0 or context[start : start + len(text)] != text:
        elsewhere = context.find(text)
        remedy = f"it is at {elsewhere}" if elsewhere >= 0 else "it is not in the context"
        raise KpiError(f"{where}: the answer {text[:40]!r} is not at {start} of its context", remedy)
    return text, start
