"""The file of evidence that was edited, whatever it says then, and sealed anew by somebody who can do that."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from harness.core.codec import encode
from harness.evidence.seal import END, MARK, sealed

Edit = Callable[[dict[str, Any]], object]


def sealed_plain(data: Mapping[str, Any], key: str | None = None) -> bytes:
    """What the file of plain evidence holds; unlike an object's, what it says need not make sense."""
    before = json.dumps({name: value for name, value in data.items() if name != "seal"}).encode()[:-1] + b",\n"
    return before + MARK + encode(sealed(hashlib.sha256(before).hexdigest(), key)) + END


def forge(path: Path, out: Path, edit: Edit = lambda _: None, key: str | None = None) -> Path:
    """Writes to ``out`` what is in ``path``, edited, then sealed anew."""
    data = json.loads(path.read_text(encoding="utf-8"))
    edit(data)
    out.write_bytes(sealed_plain(data, key))
    return out
