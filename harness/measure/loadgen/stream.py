"""Reads an answer as it comes: server-sent events, or one JSON document."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from harness.measure.loadgen.dialects import Dialect, Wish
from harness.measure.loadgen.reply import Reply

_MOST = 1 << 20
"""Bytes of one event; of a whole answer that is not a stream, sixteen times as many."""


class Wrong(Exception):
    """An answer that is none: ``kind`` for counting, the message for a person."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Events:
    """Splits bytes into the data of server-sent events, as soon as a line is whole (WHATWG HTML, 9.2)."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """The data lines that the chunk completes; comments and other fields are left out."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if len(self._rest) > _MOST:
            raise Wrong("not understood", f"a line of more than {_MOST} bytes")
        for line in lines:
            if line.startswith(b"data:"):
                yield line[5:].strip()


@dataclass(slots=True)
class Reading:
    """An answer while it is read; :meth:`reply` is what it was in the end."""

    dialect: type[Dialect]
    wish: Wish
    due: float
    sent: float
    _first: float | None = None
    _first_content: float | None = None
    _last: float | None = None
    _texts: int = 0
    _tokens: int | None = None
    _ended: bool = False
    _whole: bytearray = field(default_factory=bytearray)
    _events: Events = field(default_factory=Events)

    @property
    def begun(self) -> bool:
        """Whether a part of the answer has come."""
        return self._last is not None

    def feed(self, chunk: bytes) -> None:
        """Takes bytes that have just come. Raises Wrong."""
        now = time.perf_counter()
        if not self.wish.stream:
            self._whole += chunk
            if len(self._whole) > 16 * _MOST:
                raise Wrong("not understood", f"an answer of more than {16 * _MOST} bytes")
            return
        for data in self._events.feed(chunk):
            if data == b"[DONE]":
                self._ended = True
            elif data:
                self._take(data, now)

    def _take(self, data: bytes, now: float) -> None:
        try:
            said: Any = json.loads(data)
            if not isinstance(said, dict):
                raise ValueError("no JSON object")  # noqa: TRY004 - the server's text is wrong, no type of ours
            piece = self.dialect.piece(said)
        except (ValueError, RecursionError, AttributeError, TypeError) as error:
            # Where a value has another type than promised, reading it may fail anywhere.
            text = data[:80].decode(errors="replace")
            raise Wrong("not understood", f"{type(error).__name__}: {error}: {text!r}") from error
        if piece.error:
            raise Wrong("failed", piece.error)
        if piece.tokens is not None:
            self._tokens = piece.tokens
        if piece.part:
            self._last = now
        if piece.text or piece.reasoning:
            self._texts += 1
            if self._first is None:
                self._first = now
        if piece.text and self._first_content is None:
            self._first_content = now
        self._ended = self._ended or self.dialect.ends(said)

    def reply(self) -> Reply:
        """The reply, after the last byte. Raises Wrong when the answer is cut off, empty or of another length."""
        end = time.perf_counter()
        if not self.wish.stream:
            self._take(bytes(self._whole), end)
            # Without a stream the time of the first token is unknown.
            self._first = self._first_content = self._last = None
            tokens = self._tokens
        else:
            if self.dialect.end and not self._ended:
                # A page of HTML is not a stream that was cut off.
                kind = "cut off" if self.begun else "not understood"
                raise Wrong(kind, "the stream ended without its last event")
            tokens = self._texts if self._tokens is None else self._tokens
        if not self._texts and not tokens:
            raise Wrong("empty", "an answer without a token")
        if self.wish.exactly and tokens is not None and tokens != self.wish.tokens:
            raise Wrong("wrong length", f"{tokens} tokens, asked for exactly {self.wish.tokens}")
        return Reply(self.due, self.sent, end, self._first, self._last, tokens, first_content=self._first_content)
