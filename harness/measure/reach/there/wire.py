"""Lines of JSON and the content of files, both ways over two pipes; the same on both machines."""

from __future__ import annotations

import json
import os
import select
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

_PIECE = 1 << 20


class Gone(BaseException):
    """The other side is gone, or must be taken for gone: whatever is done for it ends."""


class Wire:
    """Over two descriptors; after ``silence_s`` without a word the other side is taken for gone."""

    def __init__(self, source: int, target: int, silence_s: float) -> None:
        self._source, self._target, self._silence_s = source, target, silence_s
        self._read = bytearray()
        self._lock = threading.Lock()

    def send(self, message: Mapping[str, Any], file: Path | None = None) -> None:
        """A line; behind it the content of a file, whose size the line says as ``bytes``. Raises OSError."""
        with self._lock:
            if file is None:
                self._write(json.dumps(message).encode() + b"\n")
                return
            with file.open("rb") as content:
                left = os.fstat(content.fileno()).st_size
                self._write(json.dumps({**message, "bytes": left}).encode() + b"\n")
                while left:
                    piece = content.read(min(left, _PIECE))
                    if not piece:
                        raise OSError(f"{file} got shorter while it was sent")
                    self._write(piece)
                    left -= len(piece)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._target, view) :]

    def line(self) -> bytes:
        """The next line; raises Gone."""
        searched = 0
        while (end := self._read.find(b"\n", searched)) < 0:
            searched = len(self._read)
            self._fill()
        found = bytes(self._read[:end])
        del self._read[: end + 1]
        return found

    def message(self) -> dict[str, Any]:
        """The next line as what it says; raises Gone, also for a line that is not a message."""
        line = self.line()
        try:
            found = json.loads(line)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise Gone(f"a line that is not a message: {line[:80]!r}")
        return found

    def pieces(self, size: int) -> Callable[[], bytes]:
        """Gives what follows, ``size`` bytes, piece by piece, then nothing; raises Gone."""
        left = size

        def take() -> bytes:
            nonlocal left
            if left and not self._read:
                self._fill()
            piece = bytes(self._read[:left])
            del self._read[: len(piece)]
            left -= len(piece)
            return piece

        return take

    def _fill(self) -> None:
        ready, _, _ = select.select([self._source], [], [], self._silence_s)
        found = os.read(self._source, _PIECE) if ready else b""
        if not found:
            raise Gone("the connection ended" if ready else f"nothing was heard for {self._silence_s:.0f} s")
        self._read += found
