"""JSON lines: one object a line, readable up to where writing was cut off."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def line(data: Mapping[str, Any]) -> str:
    """One object with its line's end."""
    return json.dumps(data, ensure_ascii=False) + "\n"


def read_lines(file: Path) -> list[dict[str, Any]]:
    """Every whole line; ValueError when one is not JSON. A last line without its end was cut off, and is left out.

    Only a line feed ends a line: texts hold other characters that Python takes for one, such as U+2028.
    """
    *whole, _ = file.read_text(encoding="utf-8").split("\n")
    return [json.loads(text) for text in whole]


def write_list(file: Path, to: Path) -> None:
    """Writes the objects of a file of JSON lines as one JSON list, for people and other programs."""
    to.parent.mkdir(parents=True, exist_ok=True)
    to.write_text(json.dumps(read_lines(file), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
