"""The worker's side of the wire: one JSON request on standard input, JSON lines on standard output."""

from __future__ import annotations

import ctypes
import errno
import io
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from harness.core.errors import KpiError, Unavailable, reason

VERSION = 1
Handler = Callable[[Mapping[str, Any], Callable[[str], None]], Mapping[str, Any]]


def die_with_parent() -> None:
    """Asks Linux to kill this process when its parent dies, so that a killed run leaves nothing behind."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG


def leave(code: int) -> NoReturn:
    """Ends this process: after an answer at once, since taking large libraries down again can take a second or two.

    By then files are closed and children ended. Where something failed, whatever is left cleans up after itself.
    """
    if code:
        sys.exit(code)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def serve(handle: Handler) -> int:
    """Reads the request, answers with progress lines and one result or error line; returns the exit code.

    Libraries print where they like: the real standard output is kept for the answers, and theirs goes to standard
    error.
    """
    die_with_parent()
    sys.stdout.flush()
    wire = io.TextIOWrapper(os.fdopen(os.dup(1), "wb"), encoding="utf-8", write_through=True)
    os.dup2(2, 1)

    def send(message: Mapping[str, Any]) -> None:
        wire.write(json.dumps({"protocol": VERSION, **message}) + "\n")
        wire.flush()

    try:
        request = json.loads(sys.stdin.read())
        if request.get("protocol") != VERSION:
            raise KpiError(f"this worker speaks protocol {VERSION}, the request is in {request.get('protocol')}")
        send({"result": handle(request, lambda text: send({"progress": text}))})
    except Unavailable as error:
        send({"error": "unavailable", "message": error.message, "remedy": error.remedy})
    except KpiError as error:
        send({"error": "error", "message": error.message, "remedy": error.remedy})
    except OSError as error:
        traceback.print_exc()
        full = error.errno == errno.ENOSPC
        remedy = "free space, run `kpi cache prune`, or set KPI_STORE" if full else ""
        message = f"the disk is full: {error.filename or error.strerror}" if full else _line(error)
        send({"error": "error", "message": message, "remedy": remedy})
    except MemoryError:
        send({"error": "error", "message": "out of memory", "remedy": ""})
    except Exception as error:  # noqa: BLE001 - whatever a library raises ends as one line; the trace goes to the log
        traceback.print_exc()
        send({"error": "error", "message": _line(error), "remedy": ""})
    else:
        return 0
    return 1


def _line(error: Exception) -> str:
    name, said = type(error).__name__, reason(error)
    return said if said.startswith(name) else f"{name}: {said}"
