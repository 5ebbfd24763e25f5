"""The shape of ``data`` and ``preprocess`` of a workload: which keys each kind of them may hold."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Discriminator, Field, StringConstraints, Tag

from harness.spec.table import Name, Table

Side = Annotated[int, Field(ge=1, le=16384)]


class PreprocessTable(Table):
    """``[workload.NAME.preprocess]``: how a picture becomes an input.

    ``size`` = "each": each keeps its own, brought to ``shortest`` and ``longest`` sides and to a ``multiple``.
    """

    stand_ins: ClassVar[dict[str, Any]] = {"size": 1}
    size: Side | Annotated[list[Side], Field(min_length=2, max_length=2)] | Literal["each"]
    shortest: Side | None = None
    longest: Side | None = None
    multiple: Annotated[int, Field(ge=1, le=1024)] = 1
    fit: Literal["stretch", "letterbox", "pad"] = "stretch"
    fill: Annotated[int, Field(ge=0, le=255)] = 114
    resize: Side | None = None
    interpolation: Literal["nearest", "bilinear", "bicubic"] = "bilinear"
    colour: Literal["RGB", "BGR", "L"] = "RGB"
    scale: Annotated[float, Field(gt=0)] = 255.0
    mean: list[float] = Field(default_factory=lambda: [0.0])
    std: list[Annotated[float, Field(gt=0)]] = Field(default_factory=lambda: [1.0])
    layout: Literal["NCHW", "NHWC"] = "NCHW"


Length = Annotated[int, Field(ge=1, le=1_000_000)]


class TextTable(Table):
    """``[workload.NAME.preprocess]`` with a ``tokenizer``: how a text becomes the inputs of a model.

    ``text`` names the field of a line that holds it, or two for a pair; ``words``, in its place, one with a list of
    words. ``length`` is what texts are padded and cut to; "each": they are not. ``buckets`` are several lengths.
    """

    stand_ins: ClassVar[dict[str, Any]] = {"tokenizer": "tokenizer.json"}
    tokenizer: Annotated[str, StringConstraints(min_length=1)]
    text: Name | Annotated[list[Name], Field(min_length=1, max_length=2)] | None = None
    words: Name | None = None
    length: Length | Literal["each"] | None = None
    buckets: Annotated[list[Length], Field(min_length=1, max_length=64)] | None = None
    pad: Annotated[str, StringConstraints(min_length=1)] | None = None


class RecordingTable(Table):
    """``[workload.NAME.preprocess]`` with a ``rate``: how a recording becomes an input.

    ``rate``: samples a second; ``seconds``: what recordings are cut to, or filled up to with zeros.
    """

    stand_ins: ClassVar[dict[str, Any]] = {"rate": 16_000, "seconds": 1.0}
    rate: Annotated[int, Field(ge=1, le=1_000_000)]
    seconds: Annotated[float, Field(gt=0, le=3600)]


def _kind(given: object) -> str:
    """Which of the tables a ``preprocess`` is: one key tells each from the others."""
    if isinstance(given, Table):
        return type(given).__name__
    keys = given if isinstance(given, dict) else {}
    return "TextTable" if "tokenizer" in keys else "RecordingTable" if "rate" in keys else "PreprocessTable"


AnyPreprocess = Annotated[
    Annotated[PreprocessTable, Tag("PreprocessTable")]
    | Annotated[TextTable, Tag("TextTable")]
    | Annotated[RecordingTable, Tag("RecordingTable")],
    Discriminator(_kind),
]


Columns = Annotated[list[Name], Field(min_length=1)]


class DataTable(Table):
    """``data`` of a workload without a fixture: one file that is divided, or a file for each split.

    ``inputs`` says which array, field or columns are which input; ``label``, ``slice``, ``cluster`` name others;
    ``classes`` are the names of the classes (of folders too) in the order of the model's; ``training`` and
    ``validation`` are shares of ``file``, or files next to that of ``evaluation``. A folder of pictures or recordings
    may be there in place of a file; ``pictures`` is the folder of those that a COCO file names; ``masks``, next to a
    folder of pictures, has a mask for each, whose pixels of the value ``ignore`` do not count. ``delimiter`` divides
    the columns of a table; ``missing`` = "nan" permits empty cells in it.
    """

    file: str | None = None
    evaluation: str | None = None
    training: str | None = None
    validation: str | None = None
    seed: Annotated[int, Field(ge=0)] = 0
    inputs: dict[str, str | Columns] = Field(default_factory=dict)
    label: Name | Columns = "label"
    slice: Name = "slice"
    cluster: Name = "cluster"
    classes: list[str] = Field(default_factory=list)
    pictures: str | None = None
    masks: Annotated[str, StringConstraints(min_length=1)] | None = None
    ignore: Annotated[int, Field(ge=0, le=255)] = 255
    delimiter: Literal[",", ";", "\t", "|"] | None = None
    missing: Literal["nan"] | None = None
