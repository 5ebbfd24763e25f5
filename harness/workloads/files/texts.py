"""Texts in JSON lines, made into the inputs of a model by its tokenizer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.data_files import TextPreprocess
from harness.core.errors import KpiError
from harness.workloads.base import TensorSpec
from harness.workloads.checkpoint import remembered_digest
from harness.workloads.files.lines import IGNORED, Lines, numbered, shown
from harness.workloads.files.samples import Rows, Samples
from harness.workloads.files.tokenizing import Encoded, Tokenizer

if TYPE_CHECKING:
    import numpy.typing as npt

    from harness.core.data_files import DataFiles
    from harness.workloads.files.signature import Port, Signature

IDS, MASK, KINDS = FILLED = ("input_ids", "attention_mask", "token_type_ids")
_TAGS = "tags"
"""The usual field of the labels of words."""


class TextSamples(Samples):
    """The lines of a file, each a text, a pair of texts or a list of words, with what is known of it.

    Raises KpiError where they do not fit the model or the tokenizer; Unavailable where something is not here.
    """

    def __init__(self, file: Path, signature: Signature, model: str, data: DataFiles) -> None:
        assert isinstance(data.preprocess, TextPreprocess)
        self._how: TextPreprocess = data.preprocess
        self._data = data
        self._file = file
        self._model = model
        self._lines = Lines(file)
        self._ports = signature.inputs
        self._filled = {port.name: self._fills(port) for port in signature.inputs}
        if IDS not in self._filled.values():
            raise KpiError(
                f"{model} takes {', '.join(map(str, signature.inputs))}, and none of them is {IDS}",
                f'say which it is: data = {{ file = "{file.name}", inputs = {{ NAME = "{IDS}" }} }}',
            )
        self._tokenizer = Tokenizer(self._how)
        self._texts = self._read()
        if self._how.lengths:
            _ = self._tokenizer.padding
        self.one_by_one = not self._how.lengths

    @property
    def count(self) -> int:
        return len(self._lines)

    @property
    def specs(self) -> tuple[TensorSpec, ...]:
        varies = () if len(self._how.lengths) == 1 else (0,)
        return tuple(TensorSpec(port.name, (self._longest,), port.dtype, varies) for port in self._ports)

    @property
    def shapes(self) -> Sequence[int] | None:
        """How many tokens each sample has, with what fills it up."""
        return None if len(self._how.lengths) == 1 else self._sizes

    def take(self, rows: Rows) -> dict[str, npt.NDArray[Any]]:
        import numpy as np

        chosen = range(self.count)[rows] if isinstance(rows, slice) else [int(row) for row in rows]
        sizes = {self._sizes[row] for row in chosen}
        if len(sizes) > 1:
            raise KpiError(f"texts of {len(sizes)} lengths can't be in one batch", "ask those of one length together")
        size = sizes.pop() if sizes else self._longest
        arrays = {name: np.zeros((len(chosen), size), dtype=np.int64) for name in FILLED}
        for place, row in enumerate(chosen):
            one, inside = self._encoded[row], self._inside(row)
            if len(one.ids) < size:
                padding = self._tokenizer.padding
                arrays[IDS][place], arrays[KINDS][place] = padding.token, padding.kind
            arrays[IDS][place, inside], arrays[KINDS][place, inside] = one.ids, one.kinds
            arrays[MASK][place, inside] = 1
        return {port.name: arrays[self._filled[port.name]].astype(port.dtype) for port in self._ports}

    def digest(self, cache: Path) -> str:
        return remembered_digest(self._file, cache)

    def units(self) -> list[str]:
        return [hashlib.sha256(json.dumps(text, ensure_ascii=False).encode()).hexdigest() for text in self._texts]

    @cached_property
    def labels(self) -> npt.NDArray[Any] | None:
        if self._how.words is None:
            return self._lines.labels(self._data.label, self._data.classes)
        return self._word_labels()

    @cached_property
    def clusters(self) -> list[str] | None:
        return self._lines.names(self._data.cluster)

    @cached_property
    def slices(self) -> list[str] | None:
        return self._lines.names(self._data.slice)

    @cached_property
    def remarks(self) -> tuple[str, ...]:
        """How many texts were cut, and how many words have no token that is judged."""
        found, what = [], "texts" if self._how.words is None else "lists of words"
        if cut := sum(one.cut for one in self._encoded):
            longer = f"{cut} are longer than {self._longest} tokens and were cut"
            found.append(f"of {self.count} {what} in {self._lines.name} {longer}")
        if self._how.words is not None:
            words = sum(len(text) for text in self._texts)
            if lost := words - sum(len(_firsts(one)[0]) for one in self._encoded):
                found.append(f"of {words} words {lost} are beyond the cut or have no token: they are not judged")
        return tuple(found)

    def needs_labels(self) -> KpiError:
        field = self._label_field
        return KpiError(
            f'{self._lines.name} has no labels: "{field}" is missing, there are {", ".join(self._lines.fields)}',
            f'name them "{field}", or say which they are: data = {{ file = "{self._lines.name}", label = "..." }}'
            '; the task "tensors" needs none',
        )

    @property
    def _label_field(self) -> str:
        """Labels of words are usually called otherwise."""
        usual = self._how.words is not None and self._data.label == type(self._data)().label
        return _TAGS if usual and not self._lines.has(self._data.label) else self._data.label

    @cached_property
    def _encoded(self) -> list[Encoded]:
        return self._tokenizer.encode(self._texts, words=self._how.words is not None)

    @cached_property
    def _sizes(self) -> list[int]:
        """How many tokens each sample has in the end."""
        lengths = [max(1, len(one.ids)) for one in self._encoded]
        return [next((size for size in self._how.lengths if size >= length), length) for length in lengths]

    @cached_property
    def _longest(self) -> int:
        return self._how.lengths[-1] if self._how.lengths else max(self._sizes)

    def _inside(self, row: int) -> slice:
        """Where the tokens of a text are among those that fill it up."""
        length, size = len(self._encoded[row].ids), self._sizes[row]
        left = length < size and self._tokenizer.padding.left
        return slice(size - length, size) if left else slice(0, length)

    def _fills(self, port: Port) -> str:
        """What fills an input. Raises KpiError where nothing does, or the model takes another length."""
        expected = f"{self._model} takes {port}"
        field = self._data.inputs.get(port.name, port.name)
        if field not in FILLED:
            raise KpiError(
                f"{expected}; a tokenizer gives {', '.join(FILLED)}",
                f'say which it is: inputs = {{ "{port.name}" = "{FILLED[0]}" }}, or give it a value for all samples: '
                f'constants = {{ "{port.name}" = ... }}',
            )
        if port.dtype not in ("int64", "int32"):
            raise KpiError(f"{expected}: tokens become int64 or int32")
        sizes = self._how.lengths or (1,)
        fits = [port.fits((1, size), 1) for size in sizes]
        fixed = port.shape[1] if port.shape is not None and len(port.shape) == 2 else None  # noqa: PLR2004 - batch, tokens
        if not all(fits) or (not self._how.lengths and fixed is not None):
            made = "x".join(("?", "/".join(map(str, self._how.lengths)) or "?"))
            raise KpiError(
                f"{expected}, preprocess makes {made}",
                f"set length = {fixed} in [workload.NAME.preprocess]"
                if fixed
                else "a text has the axes (batch, tokens)",
            )
        return field

    def _read(self) -> list[Any]:
        """What each line gives to the tokenizer."""
        if self._how.words is not None:
            return self._words(self._how.words)
        fields = self._how.text
        remedy = f"{_named(fields)} in [workload.NAME.preprocess] names what holds the text"
        columns = [self._lines.column(field, remedy) for field in fields]
        for field, column in zip(fields, columns, strict=True):
            for row, value in enumerate(column):
                if not isinstance(value, str):
                    words = '; a list of words: words = "..."' if isinstance(value, list) else ""
                    raise KpiError(
                        f'{self._lines.where(row)}: "{field}" is {shown(value)}, not text', f"{remedy}{words}"
                    )
        return columns[0] if len(columns) == 1 else list(zip(*columns, strict=True))

    def _words(self, field: str) -> list[list[str]]:
        found = self._lines.column(
            field, f'words = "{field}" in [workload.NAME.preprocess] names the field of the words'
        )
        for row, value in enumerate(found):
            if not isinstance(value, list) or not value or not all(isinstance(word, str) for word in value):
                raise KpiError(
                    f'{self._lines.where(row)}: "{field}" is {shown(value)}, not a list of words',
                    'write ["John", "lives", "here"]; a whole text: text = "..."',
                )
        return found

    def _word_labels(self) -> npt.NDArray[Any] | None:
        """The label of each word at its first token, of all other tokens that none is meant, (n, tokens)."""
        import numpy as np

        field = self._label_field
        if not self._lines.has(field):
            return None
        whole = np.full((self.count, self._longest), IGNORED, dtype=np.int64)
        for row, given in enumerate(self._lines.column(field)):
            where = f'{self._lines.where(row)}: "{field}"'
            if not isinstance(given, list) or len(given) != len(self._texts[row]):
                many = len(given) if isinstance(given, list) else shown(given)
                raise KpiError(f"{where} has {many} labels for {len(self._texts[row])} words", "give one for each word")
            numbers = [numbered(value, self._data.classes, where) for value in given]
            if odd := [number for number in numbers if not isinstance(number, int)]:
                raise KpiError(f"{where} holds {odd[0]}, not a class", "write numbers or names of classes")
            words, places = _firsts(self._encoded[row])
            whole[row, self._inside(row)][places] = [numbers[word] for word in words]
        return whole


def _firsts(one: Encoded) -> tuple[list[int], list[int]]:
    """The words that have a token, and the place of the first of each."""
    found: dict[int, int] = {}
    for place, word in enumerate(one.words.tolist()):
        if word >= 0:
            found.setdefault(word, place)
    return list(found), list(found.values())


def _named(fields: Sequence[str]) -> str:
    return f'text = "{fields[0]}"' if len(fields) == 1 else f"text = {json.dumps(list(fields))}"
