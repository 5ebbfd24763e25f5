"""Opens a tokenizer from its files, and makes of texts what models take."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.errors import KpiError, Unavailable, reason
from harness.core.libraries import require
from harness.workloads.checkpoint import remembered_digest

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from harness.core.data_files import TextPreprocess

    Ids = npt.NDArray[np.int64]

FILE = "tokenizer.json"
_SETTINGS = ("tokenizer_config.json", "special_tokens_map.json")
_SLOW = (
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "spiece.model",
    "sentencepiece.bpe.model",
    "tokenizer.model",
    "added_tokens.json",
    "config.json",
)
"""What a tokenizer that only the library of Hugging Face can read is made of."""
_PADS = ("[PAD]", "<pad>", "<PAD>", "<|pad|>")
"""What a token to pad with is called, where nothing else says which it is."""
_MOST = 100_000_000
"""Bytes: no tokenizer is larger."""


@dataclass(frozen=True, slots=True)
class Padding:
    """What fills a text up: a token with the type of its place, on the left or behind."""

    token: int
    kind: int
    left: bool


@dataclass(frozen=True, slots=True)
class Encoded:
    """One text, (tokens,): ``words`` is the place of each token's word, -1 where it is of none.

    ``cut`` says whether it was longer than it may be.
    """

    ids: Ids
    kinds: Ids
    words: Ids
    cut: bool


def tokenizer_files(place: Path) -> list[Path]:
    """The files that a tokenizer is made of. Raises Unavailable where there is none, KpiError for what can't be one."""
    if place.is_file():
        if place.suffix.lower() != ".json":
            raise KpiError(f"tokenizer {place.name} is not a {FILE}", f"name a {FILE}, or a folder that holds one")
        if place.stat().st_size > _MOST:
            raise KpiError(f"tokenizer {place.name} has {place.stat().st_size} bytes: it is none", f"name a {FILE}")
        return [place, *(file for name in _SETTINGS if (file := place.parent / name).is_file())]
    if not place.is_dir():
        raise Unavailable(f"tokenizer {place} is not here", "check its path")
    if (place / FILE).is_file():
        return tokenizer_files(place / FILE)
    found = [file for name in (*_SLOW, *_SETTINGS) if (file := place / name).is_file()]
    if not found:
        raise Unavailable(f"tokenizer {place} holds no {FILE}", f"name a folder with a {FILE}")
    return found


def tokenizer_digest(place: Path, cache: Path) -> str:
    """SHA-256 over names and contents of the files."""
    digest = hashlib.sha256()
    for file in tokenizer_files(place):
        digest.update(f"{file.name}\0{remembered_digest(file, cache)}\n".encode())
    return digest.hexdigest()


class Tokenizer:
    """A tokenizer with its special tokens, cutting texts to ``how.lengths`` where there are any.

    Raises KpiError where it can't be read, or does not say what to pad with; Unavailable where a library is not here.
    """

    def __init__(self, how: TextPreprocess) -> None:
        place = how.tokenizer
        self._name = place.parent.name + "/" + FILE if place.name == FILE else place.name
        files = tokenizer_files(place)
        fast = files[0].suffix == ".json" and files[0].name not in (*_SLOW, *_SETTINGS)
        self._made = self._opened(files[0]) if fast else self._converted(place)
        self._settings = _settings(files)
        self._padding = self._said_padding(how.pad)
        self._made.no_padding()
        if how.lengths:
            self._cut_to(how.lengths[-1], pair=how.words is None and len(how.text) > 1)

    @property
    def padding(self) -> Padding:
        """What to pad with. Raises KpiError where neither the tokenizer nor the table says it."""
        if self._padding is None:
            raise KpiError(
                f"tokenizer {self._name} does not say which token fills texts up",
                'name it, pad = "[PAD]" in [workload.NAME.preprocess], or take texts as they are, length = "each"',
            )
        return self._padding

    def encode(self, texts: Sequence[Any], *, words: bool) -> list[Encoded]:
        """Texts, pairs of texts, or lists of words, each as tokens with the special ones."""
        import numpy as np

        try:
            made = self._made.encode_batch(list(texts), is_pretokenized=words)
        except Exception as error:
            raise KpiError(f"tokenizer {self._name} can't read the texts: {reason(error)}") from error
        found = []
        for one in made:
            of_words = [-1 if word is None else word for word in one.word_ids]
            ids, kinds, places = (np.array(values, dtype=np.int64) for values in (one.ids, one.type_ids, of_words))
            found.append(Encoded(ids, kinds, places, bool(one.overflowing)))
        return found

    def _opened(self, file: Path) -> Any:
        library = require("tokenizers")
        try:
            return library.Tokenizer.from_file(str(file))
        except Exception as error:
            raise KpiError(
                f"{self._name} is not a tokenizer, or a damaged one: {reason(error)}", "fetch or save it again"
            ) from error

    def _converted(self, folder: Path) -> Any:
        """Of files that only the library of Hugging Face reads, what it makes of them."""
        try:
            library = require("transformers")
        except Unavailable as error:
            raise Unavailable(
                f"tokenizer {self._name} holds no {FILE}, and transformers, which reads older files, is not here",
                "pip install transformers, or save the tokenizer once with it: save_pretrained writes the file",
            ) from error
        try:
            read: Any = library.AutoTokenizer.from_pretrained(
                str(folder), local_files_only=True, trust_remote_code=False
            )
        except Exception as error:
            raise KpiError(
                f"tokenizer {self._name} can't be read: {reason(error)}", f"name one with a {FILE}"
            ) from error
        if not getattr(read, "is_fast", False):
            raise KpiError(f"tokenizer {self._name} can't be made a fast one", f"name one with a {FILE}")
        return read.backend_tokenizer

    def _said_padding(self, named: str | None) -> Padding | None:
        """What the table names, else what the file says, else its settings, else a token that is called so."""
        own, side = self._made.padding or {}, self._settings.get("padding_side")
        left = side == "left" if side in ("left", "right") else own.get("direction") == "left"
        kind = int(self._settings.get("pad_token_type_id", own.get("pad_type_id", 0)) or 0)
        if named is not None:
            token = self._made.token_to_id(named)
            if token is None:
                raise KpiError(f'preprocess.pad: tokenizer {self._name} has no token "{named}"', "name one that it has")
            return Padding(token, kind, left)
        if own:
            return Padding(int(own["pad_id"]), kind, left)
        tokens = (self._settings.get("pad_token"), *_PADS)
        found = (self._made.token_to_id(token) for token in tokens if token)
        token = next((token for token in found if token is not None), None)
        return None if token is None else Padding(token, kind, left)

    def _cut_to(self, length: int, *, pair: bool) -> None:
        own = self._made.truncation or {}
        side = self._settings.get("truncation_side") or own.get("direction") or "right"
        special = self._made.num_special_tokens_to_add(is_pair=pair)
        if length <= special:
            raise KpiError(
                f"preprocess.length: {length} tokens leave no room for text: {special} of them are special",
                "give a larger length",
            )
        self._made.enable_truncation(length, stride=0, strategy=own.get("strategy", "longest_first"), direction=side)


def _settings(files: Sequence[Path]) -> dict[str, Any]:
    """What the files of settings say, tokens as text. Raises KpiError for what is not JSON."""
    found: dict[str, Any] = {}
    for file in (file for file in files if file.name in _SETTINGS):
        try:
            data = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise KpiError(f"{file.name} is not JSON: {reason(error)}", "fetch or save the tokenizer again") from error
        for key, value in data.items() if isinstance(data, dict) else ():
            found.setdefault(key, value.get("content") if isinstance(value, dict) and "content" in value else value)
    return found
