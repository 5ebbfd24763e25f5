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

    ``resize``: the shorter side, before the middle of ``size`` (height, width) is cut out. Without it all of the
    picture is made to fit: stretched, or in proportion with ``fill`` around it ("letterbox") or to its right and below
    ("pad"). ``colour`` is the order of the channels. Values are divided by ``scale``, then ``mean`` is taken away and
    the rest divided by ``std``, by channel. ``layout`` is the order of the axes.
    """

    size: tuple[int, int]
    fit: str = "stretch"
    fill: int = 114
    resize: int | None = None
    interpolation: str = "bilinear"
    colour: str = "RGB"
    scale: float = 255.0
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    layout: str = "NCHW"

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Preprocess:
        """The inverse of ``dataclasses.asdict`` after a trip through JSON."""
        plain: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in data.items()}
        return cls(**plain)


@dataclass(frozen=True, slots=True)
class DataFiles:
    """One file or folder whose samples are divided, or one for each split.

    ``whole`` is what is divided: ``training`` and ``validation`` are the shares that these splits get, the rest is for
    evaluation; ``seed`` chooses which samples go where. ``splits`` are files by split instead. ``inputs`` says which
    array is an input of the model, where the two have different names; ``label``, ``slice`` and ``cluster`` name the
    arrays that are no inputs. ``classes`` are the names of the folders of pictures in the order of the model's classes,
    sorted where it says nothing; ``pictures`` is the folder of those that a file names, from that file on;
    ``preprocess`` is for pictures.
    """

    whole: Path | None = None
    splits: Mapping[str, Path] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    label: str = "label"
    slice: str = "slice"
    cluster: str = "cluster"
    classes: tuple[str, ...] = ()
    pictures: str | None = None
    preprocess: Preprocess | None = None
    training: float = 0.2
    validation: float = 0.2
    seed: int = 0

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file, each once."""
        return tuple(dict.fromkeys(filter(None, (self.whole, *(self.splits[n] for n in SPLITS if n in self.splits)))))

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> DataFiles:
        """The inverse of ``dataclasses.asdict`` after a trip through JSON."""
        read = {
            "whole": None if data["whole"] is None else Path(data["whole"]),
            "splits": {name: Path(file) for name, file in data["splits"].items()},
            "classes": tuple(data["classes"]),
            "preprocess": data["preprocess"] and Preprocess.from_json(data["preprocess"]),
        }
        return cls(**{**data, **read})
