"""Files that are whole or absent."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path


def write_atomically(path: Path, text: str) -> None:
    """Replaces a file in one step: a reader, or a kill, finds the old content or the new, never half."""
    write_chunks_atomically(path, [text.encode()])


def write_chunks_atomically(path: Path, chunks: Iterable[bytes]) -> None:
    """The same of a content that comes in parts."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.writelines(chunks)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
