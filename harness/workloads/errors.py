"""Where in the user's own files an error comes from: what a fixture raises is told with its file, line and call."""

from __future__ import annotations

import errno
import inspect
import json
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from harness.core.errors import FixtureMistake, KpiError

_HARNESS = Path(__file__).resolve().parent.parent
_LONGEST, _MOST = 40, 600
Handler = Callable[[Mapping[str, Any], Callable[[str], None]], Mapping[str, Any]]


def naming_fixture(handle: Handler) -> Handler:
    """A worker's handler whose errors name the line of the project's own files that they come from.

    The request's ``root`` is the project's folder. What has no line there is raised as it is; the whole trace goes to
    standard error, which is the worker's log.
    """

    @wraps(handle)
    def handled(request: Mapping[str, Any], progress: Callable[[str], None]) -> Mapping[str, Any]:
        try:
            return handle(request, progress)
        except (Exception, SystemExit) as error:
            told = located(error, Path(request.get("root", ".")))
            if told is None:
                raise
            traceback.print_exc()
            raise told from error

    return handled


def located(error: BaseException, root: Path, of: str = "") -> KpiError | None:
    """The error as one line that begins with the place in the project's own files; None where it has none there.

    ``of`` is added to the place. What a fixture says itself by a KpiError, and a full disk, stay as they are.
    """
    if isinstance(error, KpiError) and not isinstance(error, FixtureMistake):
        return None
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return None
    for cause in _chain(error):
        if place := place_of(cause, root):
            place += f" of {of}" if of else ""
            if isinstance(cause, FixtureMistake):
                return KpiError(f"{place}: {cause.message}", cause.remedy)
            return KpiError(f"{place}: {_said(cause)}", _remedy(cause))
    return None


def place_of(error: BaseException, root: Path) -> str:
    """``fixtures/mine/data.py:12 in load(), called by split("evaluation")``; empty where no frame is the project's."""
    if isinstance(error, SyntaxError) and error.filename and (file := _own(error.filename, root)):
        return f"{file}:{error.lineno}" if error.lineno else file
    frames = [(frame, line, file) for frame, line in _frames(error) if (file := _own(frame.f_code.co_filename, root))]
    if not frames:
        return ""
    frame, line, file = frames[-1]
    inner = _call(frame)
    # What the harness called: a helper's name alone says little.
    outer = next((call for other, _, _ in frames[:-1] if (call := _call(other)) and call != inner), "")
    called = f", called by {outer}" if outer else ""
    return f"{file}:{line}{f' in {inner}' if inner else ''}{called}"


def defined_at(what: object, call: str, root: Path) -> str:
    """``fixtures/mine/__init__.py:33 in split("evaluation")``: where a method or class begins; else the call alone."""
    try:
        source = inspect.unwrap(what) if callable(what) else what
        file, line = inspect.getsourcefile(source) or "", inspect.getsourcelines(source)[1]  # type: ignore[arg-type]
    except (TypeError, OSError):  # made by code that is in no file
        return call
    return f"{own}:{line} in {call}" if (own := _own(file, root)) else call


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, then what it was raised from: exporters wrap what a network raised."""
    seen: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in seen:
        seen.append(current)
        yield current
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)


def _frames(error: BaseException) -> Iterator[tuple[FrameType, int]]:
    """Frames with their line, the outermost first."""
    trace: TracebackType | None = error.__traceback__
    while trace is not None:
        yield trace.tb_frame, trace.tb_lineno
        trace = trace.tb_next


def _own(filename: str, root: Path) -> str:
    """The file relative to the project; empty for the harness, what is installed, and what is not a file."""
    file, root = Path(filename), root.resolve()
    installed = [Path(folder).resolve() for folder in (sys.prefix, sys.base_prefix)]
    if not file.is_absolute() or not (file := file.resolve()).is_relative_to(root) or file.is_relative_to(_HARNESS):
        return ""
    inside = any(folder != root and folder.is_relative_to(root) and file.is_relative_to(folder) for folder in installed)
    relative = file.relative_to(root)
    return "" if inside or {"site-packages", "dist-packages"} & set(relative.parts) else relative.as_posix()


def _call(frame: FrameType) -> str:
    """``split("evaluation")``; ``class Mine`` for its body, nothing for a module's."""
    code = frame.f_code
    if not code.co_flags & inspect.CO_OPTIMIZED:
        return "" if code.co_name == "<module>" else f"class {code.co_name}"
    names = [name for name in code.co_varnames[: code.co_argcount] if name not in ("self", "cls")]
    values = [frame.f_locals.get(name) for name in names]
    if not all(isinstance(value, str | int | float | None) for value in values):
        return f"{code.co_name}(...)"
    return f"{code.co_name}({', '.join(_short(value) for value in values)})"


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, str) else str(value)
    return text if len(text) <= _LONGEST else f'{text[:_LONGEST]}..."'


def _said(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return f"{type(error).__name__}: {error.msg}"
    if isinstance(error, SystemExit):
        return f"it ended the process: SystemExit: {error.code}"
    # The whole message: its reason may be in any of its lines.
    said = " ".join(str(error).split())
    return f"{type(error).__name__}: {said}"[:_MOST] if said else type(error).__name__


def _remedy(error: BaseException) -> str:
    return f"install {error.name}" if isinstance(error, ModuleNotFoundError) and error.name else ""
