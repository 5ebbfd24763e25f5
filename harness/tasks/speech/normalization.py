"""How texts are made comparable before their errors are counted."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
import unicodedata
from collections.abc import Callable, Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from harness.core.errors import Unavailable

Normalize = Callable[[str], list[str]]
"""The words of a text as they are compared."""

BASIC, WHISPER_ENGLISH = "basic", "whisper-english"
_BASIC = "NFKC, lower case, punctuation and symbols removed except within words' apostrophes, split at spaces"
_APOSTROPHE = re.compile(r"(?<=\w)'(?=\w)")


def words(text: str) -> list[str]:
    """The words of a text as ``basic`` compares them; figures are not spelled out."""
    plain = unicodedata.normalize("NFKC", text).lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    kept = _APOSTROPHE.sub("\0", plain)
    letters = (" " if unicodedata.category(c)[0] in "PSZ" else c for c in kept)
    return "".join(letters).replace("\0", "'").split()


def normalizer(name: str, spelling: Mapping[str, str]) -> Normalize:
    """``basic``, or ``whisper-english``: Whisper's own, with American in place of British ``spelling``.

    Raises Unavailable without transformers, which brings Whisper's.
    """
    if name == BASIC:
        return words
    english = _whisper_english()(dict(spelling))
    return lambda text: str(english(text)).split()


def identity(name: str, spelling: Mapping[str, str]) -> dict[str, str]:
    """What the compared words depend on, besides the texts."""
    if name == BASIC:
        return {"normalization": _BASIC}
    written = hashlib.sha256(json.dumps(spelling, sort_keys=True).encode()).hexdigest()[:12]
    return {
        "normalization": "whisper-english: figures, currencies, abbreviations and contractions as Whisper's normalizer",
        "transformers": version("transformers"),
        "spelling": f"{len(spelling)} words of the model's normalizer.json ({written})" if spelling else "not unified",
    }


@cache
def _whisper_english() -> Any:
    """The class from its file: importing the package would load torch into the process that judges."""
    package = importlib.util.find_spec("transformers")
    places = package.submodule_search_locations if package else None
    file = Path(places[0] if places else "") / "models/whisper/english_normalizer.py"
    spec = importlib.util.spec_from_file_location("harness_whisper_english", file) if file.is_file() else None
    if spec is None or spec.loader is None:
        raise Unavailable(
            "Whisper's normalizer comes with transformers, which is not installed", "pip install transformers"
        )
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except ImportError as error:
        raise Unavailable(f"Whisper's normalizer can't be imported: {error}", "pip install regex") from error
    return module.EnglishTextNormalizer
