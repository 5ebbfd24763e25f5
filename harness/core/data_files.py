"""Where the samples of a workload are that has no code of its own, and how they are told apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SPLITS = ("training", "validation", "evaluation")


@dataclass(frozen=True, slots=True)
class Preprocess:
    """How a picture becomes an input, in this order.

    Without ``size`` each keeps its own: the shorter side becomes ``shortest``, unless the longer would be more than
    ``longest``; it is filled up to a ``multiple`` on the right and below.

    ``resize``: the shorter side, before the middle of ``size`` (height, width) is cut out. Without it all of the
    picture is made to fit: stretched, or in proportion with ``fill`` around it ("letterbox") or to its right and below
    ("pad"). ``colour`` is the order of the channels. Values are divided by ``scale``, then ``mean`` is taken away and
    the rest divided by ``std``, by channel. ``layout`` is the order of the axes.
    """

    size: tuple[int, int] | None
    fit: str = "stretch"
    fill: int = 114
    resize: int | None = None
    interpolation: str = "bilinear"
    colour: str = "RGB"
    scale: float = 255.0
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    layout: str = "NCHW"
    shortest: int | None = None
    longest: int | None = None
    multiple: int = 1

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Preprocess:
        """The inverse of ``dataclasses.asdict`` after a trip through JSON."""
        plain: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in data.items()}
        return cls(**plain)


@dataclass(frozen=True, slots=True)
class TextPreprocess:
    """How a text becomes the inputs of a model.

    ``tokenizer`` is a ``tokenizer.json`` or a folder with one. ``text`` names the field of a line that holds the text,
    or two of them for a pair; ``words``, in its place, one that holds a list of words, each with a label of its own.
    A text is padded to the smallest of ``lengths`` that holds it, in tokens, and cut to the largest; without any it
    stays as long as it is. ``pad`` is the token to pad with, where the tokenizer does not say it.
    """

    tokenizer: Path
    text: tuple[str, ...] = ("text",)
    words: str | None = None
    lengths: tuple[int, ...] = ()
    pad: str | None = None

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TextPreprocess:
        """The inverse of ``dataclasses.asdict`` after a trip through JSON."""
        lists = {key: tuple(data[key]) for key in ("text", "lengths")}
        return cls(**{**data, **lists, "tokenizer": Path(data["tokenizer"])})


@dataclass(frozen=True, slots=True)
class RecordingPreprocess:
    """How a recording becomes an input: ``seconds`` of it, at ``rate`` samples a second, one channel from -1 to 1."""

    rate: int
    seconds: float

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RecordingPreprocess:
        """The inverse of ``dataclasses.asdict`` after a trip through JSON."""
        return cls(**data)


AnyPreprocess = Preprocess | TextPreprocess | RecordingPreprocess
_KINDS: Mapping[str, type[AnyPreprocess]] = {"tokenizer": TextPreprocess, "rate": RecordingPreprocess}
"""The key that tells one way from the others."""


def preprocess_from_json(data: Mapping[str, Any]) -> AnyPreprocess:
    """What ``dataclasses.asdict`` made of any of them, after a trip through JSON."""
    return next((kind for key, kind in _KINDS.items() if key in data), Preprocess).from_json(data)


@dataclass(frozen=True, slots=True)
class DataFiles:
    """One file or folder whose samples are divided, or one for each split.

    ``whole`` is what is divided: ``training`` and ``validation`` are the shares that these splits get, the rest is for
    evaluation; ``seed`` chooses which samples go where. ``splits`` are files by split instead. ``inputs`` says which
    array is an input of the model, where the two have different names; ``label``, ``slice`` and ``cluster`` name the
    arrays that are no inputs. Of a table ``columns`` are the inputs that several columns make up, in their order, and
    ``labels`` the columns of a label of several numbers; ``delimiter`` is what divides its columns (a comma; in .tsv a
    tab), and ``missing`` = "nan" permits empty cells in inputs of floating point. ``classes`` are the names of the
    classes in the order of the model's; of folders their own names, sorted, where it says nothing. ``pictures`` is the
    folder of those that a file names, from that file on; ``masks`` that of a mask for each picture of a folder, next to
    it, and ``ignore`` the value of their pixels that do not count; ``preprocess`` is for samples that are not arrays.
    ``drawn`` is what the task makes labels of: "boxes", "objects" (boxes with masks) or "pixels" (classes of pixels).
    """

    whole: Path | None = None
    splits: Mapping[str, Path] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    label: str = "label"
    labels: tuple[str, ...] = ()
    slice: str = "slice"
    cluster: str = "cluster"
    classes: tuple[str, ...] = ()
    pictures: str | None = None
    masks: str | None = None
    ignore: int = 255
    delimiter: str | None = None
    missing: str | None = None
    preprocess: AnyPreprocess | None = None
    drawn: str = "boxes"
    training: float = 0.2
    validation: float = 0.2
    seed: int = 0

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file, each once."""
        return tuple(dict.fromkeys(filter(None, (self.whole, *(self.splits[n] for n in SPLITS if n in self.splits)))))

    @property
    def needed(self) -> tuple[Path, ...]:
        """The same with what samples are read by, such as a tokenizer."""
        more = (self.preprocess.tokenizer,) if isinstance(self.preprocess, TextPreprocess) else ()
        return (*self.files, *more)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> DataFiles:
        """The inverse of ``dataclasses.asdict`` after a trip through JSON."""
        read = {
            "whole": None if data["whole"] is None else Path(data["whole"]),
            "splits": {name: Path(file) for name, file in data["splits"].items()},
            "classes": tuple(data["classes"]),
            "columns": {name: tuple(columns) for name, columns in data["columns"].items()},
            "labels": tuple(data["labels"]),
            "preprocess": data["preprocess"] and preprocess_from_json(data["preprocess"]),
        }
        return cls(**{**data, **read})
