"""The errors that reach a user: one line that says what happened, to what, then what to do next."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from enum import StrEnum


class Cause(StrEnum):
    """Why a target has no figure, where code decides on it; ``reason`` says the same to people."""

    UNSELECTED = "unselected"
    """It was left out by ``-k`` or ``-m``."""
    UNMEASURED = "unmeasured"
    """No test asked for it before the run ended."""
    NO_DEVICE = "no-device"
    """The machine has no device of this kind."""
    NO_RELEASE = "no-release"
    """Nothing was released yet at the place that a recipe names."""
    FIRST_RELEASE = "first-release"
    """It is held against what was released, nothing was, and its KPI declares that."""


class KpiError(Exception):
    """Something went wrong that a person can act on; ``remedy`` says how.

    ``cause`` is one of :class:`Cause` where code decides on it.
    """

    def __init__(self, message: str, remedy: str = "", *, cause: Cause | None = None) -> None:
        super().__init__(message)
        self.cause = cause
        self.message = " ".join(message.split())
        self.remedy = " ".join(remedy.split())

    def __str__(self) -> str:
        return f"{self.message} ({self.remedy})" if self.remedy else self.message


class Unavailable(KpiError):
    """A device, a library, data or weights are not here: nothing is wrong, but nothing can be proven either."""


class FixtureMistake(KpiError):
    """A fixture uses what the harness gives it in a way that can't work; the worker adds the fixture's line."""


class SpecError(KpiError):
    """The file of promises can't be used; ``problems`` holds every mistake found, one line each."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems))

    def __str__(self) -> str:
        return "\n".join(self.problems)


def suggest(name: object, known: Iterable[str], kind: str, *, cutoff: float = 0.5) -> str:
    """Says that ``name`` is not a known ``kind``, with the nearest match and what is allowed.

    ``cutoff`` says how alike the nearest must be, from 0 to 1. Of very many names the nearest are listed.
    """
    names, most = sorted(known), 60
    near = difflib.get_close_matches(str(name), names, n=1, cutoff=cutoff)
    hint = f'; did you mean "{near[0]}"?' if near else ""
    listed = names if len(names) <= most else sorted(difflib.get_close_matches(str(name), names, n=most, cutoff=0.0))
    shown = ", ".join(listed) + (f", and {len(names) - most} more" if len(names) > most else "")
    return f'unknown {kind} "{name}"{hint} (allowed: {shown or "none is defined"})'


_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
# Where a message of torch.onnx begins to say what is wrong, and where it ends.
_SUMMARY = re.compile(r".*## Exception summary\s*|\s*\(Refer to the full stack trace above.*", re.DOTALL)
_TYPE = re.compile(r"^<class '(?:\w+\.)*\w+'>:\s*")
# Lines and sentences that say where in a library something happened, or where to read more: never why.
_NOISE = re.compile(
    r"^Exception from \S+:\d+:?$|^Caused by: \(\S+:\d+ in \w+\)$|^Check '.*' failed at \S+:\d+:?$"
    r"|^FrontEnd API failed with \w+:$|^Summary:$|^(For more|For extended|For C\+\+|If you suspect) .*"
    r"|^The error above occurred when calling .*|^consider using data-dependent friendly .*"
    r"|^To facilitate the conversion .*|^Please fix either the inputs.*|^Traceback \(most recent call last\):$"
    r"|^The above exception was the direct cause.*|^Model wasn't fully converted\.$"
)
_ASIDE = re.compile(
    r"\s*For more information, run with \S+|\s*If you're using mark_dynamic, .*|\s*Refer to https?://\S+.*"
    r"|/onnxruntime_src/\S+:\d+ (?:[\w:<>&*]+ )?\S+::\S+\([^()]*\)(?: const)? ?|^-+ "
    r"|\s*Please check that model format: .*"
)
_BARE = (KeyError, IndexError, AssertionError, StopIteration, NotImplementedError)


def reason(error: BaseException, limit: int = 600) -> str:
    """Why something failed, in one line of at most ``limit`` characters: the sentences that carry the reason.

    Colour codes and the lines that only say where in a library it happened are dropped. What an error was raised from
    is followed to its end, since libraries wrap the reason. A text that is too long keeps its beginning and its end:
    ONNX Runtime and OpenVINO say the reason last.
    """
    parts: list[str] = []
    for each in _chain(error):
        text = _sentences(each)
        # Of an outer message and an inner one that repeat each other, one is enough.
        parts = [part for part in parts if text not in part and part.rstrip(".") not in text]
        parts.append(text)
    return shortened(": ".join([*(part.rstrip(".:") for part in parts[:-1]), parts[-1]]), limit)


def shortened(text: str, limit: int) -> str:
    """``text`` in at most ``limit`` characters: the beginning and, twice as long, the end."""
    if len(text) <= limit:
        return text
    head = limit // 3
    return f"{text[:head].rstrip()} ... {text[len(text) - (limit - head - 5) :].lstrip()}"


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and what it was raised from, the outermost first; a KpiError's message was chosen already."""
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        yield found
        if isinstance(found, KpiError):
            return
        seen.add(id(found))
        found = found.__cause__


def _sentences(error: BaseException) -> str:
    """What one error says, without colour codes and without the lines that carry no reason, as one line."""
    if isinstance(error, KpiError):
        return error.message
    text = str(error)
    if isinstance(error, _BARE) or not text.strip():
        return f"{type(error).__name__}: {text}" if text.strip() else type(error).__name__
    text = _ESCAPES.sub("", text)
    kept = _TYPE.sub("", _SUMMARY.sub("", text)) if "## Exception summary" in text else text
    lines = [" ".join(line.split()) for line in kept.splitlines()]
    useful = [line for line in lines if line and not _NOISE.match(line)]
    return " ".join(_ASIDE.sub("", line) for line in useful or [line for line in lines if line]).strip()
