"""A model of ncnn, ``.param`` with its ``.bin``: read as text, and asked by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core.errors import KpiError
from harness.core.libraries import require

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Arrays = Mapping[str, npt.NDArray[np.generic]]

DISTRIBUTION = "ncnn"
HALVES = ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic")
"""The settings of the library that permit half precision."""
_MAGIC = "7767517"
_HEAD = 4
_KEEPING = frozenset({"Softmax", "Sigmoid", "ReLU", "Clip", "Dropout", "TanH"})
"""Layers with one input that give as many numbers as they take."""
_PNNX = "pnnx."
_ARRAY = -23300


@dataclass(frozen=True, slots=True)
class Layer:
    """A line of the text: ``options`` are its settings by number, as they are written."""

    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    options: Mapping[int, str]

    def number(self, option: int, default: int = 0) -> int:
        """A setting that is a whole number."""
        try:
            return int(self.options.get(option, default))
        except ValueError:
            return default


@dataclass(frozen=True)
class Graph:
    """The layers of a file in the order in which they run."""

    layers: tuple[Layer, ...]

    @cached_property
    def inputs(self) -> tuple[Layer, ...]:
        """The layers that stand for what is given; the name of each is that of its only output."""
        return tuple(layer for layer in self.layers if layer.kind == "Input")

    @cached_property
    def outputs(self) -> tuple[str, ...]:
        """What no layer takes."""
        taken = {name for layer in self.layers for name in layer.inputs}
        return tuple(name for layer in self.layers for name in layer.outputs if name not in taken)

    def dtype(self, name: str) -> str:
        """The type of an input: whole numbers where a table is looked up with it."""
        users = {layer.kind for layer in self.layers if name in layer.inputs}
        return "int32" if users == {"Embed"} else "float32"

    def taken(self, layer: Layer) -> tuple[int | None, ...] | None:
        """The sizes of one sample of an input, outermost first, None for one that varies.

        They are those that the text names, or as many channels as a convolution takes; None where neither says it.
        """
        if sizes := tuple(size for option in (2, 11, 1, 0) if (size := layer.number(option)) > 0):
            return sizes
        users = [user for user in self.layers if layer.outputs[0] in user.inputs]
        if len(users) != 1 or users[0].kind not in ("Convolution", "ConvolutionDepthWise"):
            return None
        width = users[0].number(1)
        window = width * users[0].number(11, width) * users[0].number(0)
        channels = users[0].number(6) * users[0].number(7, 1) // window if window else 0
        return (channels, None, None) if channels else None

    def given(self, name: str) -> tuple[int, ...] | None:
        """The sizes of an output of one sample where it comes from a dense layer; None where it does not."""
        makers = {made: layer for layer in self.layers for made in layer.outputs}
        while (layer := makers[name]).kind in _KEEPING:
            name = layer.inputs[0]
        return (layer.number(0),) if layer.kind == "InnerProduct" else None


def weights(file: Path) -> Path:
    """The ``.bin`` of a ``.param``. Raises KpiError where it is not next to it."""
    found = file.with_suffix(".bin")
    if not found.is_file():
        raise KpiError(
            f"{file.name} needs its weights, {found.name}, next to it", "copy that file into the same folder"
        )
    return found


def read_param(file: Path) -> Graph:
    """Raises KpiError, with the reason, where it is not ncnn's text or a truncated one."""
    try:
        lines = [line.split() for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    except UnicodeDecodeError:
        lines = []
    if not lines or lines[0] != [_MAGIC]:
        raise KpiError(
            f"{file.name} is not an ncnn model: it is not a text that begins with {_MAGIC}",
            "give the .param of a model, not its .bin or .param.bin",
        )
    try:
        wanted, _ = (int(count) for count in lines[1])
        layers = tuple(map(_layer, lines[2:]))
    except (ValueError, IndexError) as error:
        raise _truncated(file, f"a line is not as it should be: {error}") from error
    if len(layers) != wanted:
        raise _truncated(file, f"{len(layers)} of {wanted} layers are there")
    if any(layer.kind.startswith(_PNNX) for layer in layers):
        raise KpiError(
            f"{file.name} is a graph of pnnx, not a model of ncnn",
            f"give the one that ends with .ncnn.param: {file.name.replace('.pnnx.', '.ncnn.')}",
        )
    known = set[str]()
    for layer in layers:
        if lacking := set(layer.inputs) - known:
            raise _truncated(file, f"{layer.name} takes {min(lacking)}, which no layer before it gives")
        known.update(layer.outputs)
    graph = Graph(layers)
    if not graph.inputs or not graph.outputs:
        raise _truncated(file, "it has no inputs or no outputs")
    return graph


def _truncated(file: Path, said: str) -> KpiError:
    return KpiError(f"{file.name} is not an ncnn model, or a truncated one: {said}", "fetch or convert it again")


def _layer(words: list[str]) -> Layer:
    kind, name, taken, given = words[0], words[1], int(words[2]), int(words[3])
    blobs, options = words[_HEAD : _HEAD + taken + given], words[_HEAD + taken + given :]
    if len(blobs) < taken + given or any("=" in blob for blob in blobs):
        raise ValueError(f"{name} names fewer than {taken + given} values")
    pairs = [word.partition("=") for word in options]
    if bad := [word for word in options if "=" not in word]:
        raise ValueError(f"{name} has {bad[0]} where a setting should be")
    numbered = {int(key): value for key, _, value in pairs}
    settings = {_ARRAY - key if key <= _ARRAY else key: value for key, value in numbered.items()}
    return Layer(kind, name, tuple(blobs[:taken]), tuple(blobs[taken:]), settings)


class NcnnModel:
    """A network loaded, which takes one sample at a time.

    ``threads``: of one operator, None: the library's choice; ``exact``: neither weights nor values between are held in
    half precision. Raises Unavailable without ncnn, KpiError, with the reason, for what is not such a model.
    """

    def __init__(self, file: Path, *, threads: int | None = None, exact: bool = False) -> None:
        self._library = require("ncnn", DISTRIBUTION)
        self.graph, content = read_param(file), weights(file)
        if unknown := sorted({one.kind for one in self.graph.layers if self._library.layer_to_index(one.kind) < 0}):
            raise KpiError(
                f"{file.name} has layers that ncnn does not know: {', '.join(unknown)}",
                "convert the model without them, or with a newer ncnn",
            )
        self.net = self._library.Net()
        self.net.opt.use_vulkan_compute = False
        if threads:
            self.net.opt.num_threads = threads
        if exact:
            for name in (*HALVES, "use_bf16_storage"):
                setattr(self.net.opt, name, False)
        if self.net.load_param(str(file)) or self.net.load_model(str(content)):
            raise KpiError(
                f"{file.name} can't be loaded with {content.name}: they do not belong together, or one is truncated",
                "fetch or convert both again",
            )

    @property
    def version(self) -> str:
        """The library's."""
        return str(self._library.__version__)

    def run(self, feeds: Arrays) -> dict[str, npt.NDArray[np.generic]]:
        """Runs samples one after another; raises KpiError where the network does not take one."""
        import numpy as np

        names = self.graph.outputs
        count = len(next(iter(feeds.values())))
        rows = [self._one({name: array[row] for name, array in feeds.items()}, names) for row in range(count)]
        return {name: np.stack([row[name] for row in rows]) for name in names}

    def sizes(self, names: list[str]) -> dict[str, tuple[int, ...]]:
        """The sizes of values that a request with the last sample has, without the batch."""
        if self._last is None:
            return {}
        found = self._one(self._last, tuple(names), kept=True)
        return {name: array.shape for name, array in found.items()}

    _last: Arrays | None = None

    def _one(self, sample: Arrays, names: tuple[str, ...], *, kept: bool = False) -> dict[str, npt.NDArray[np.generic]]:
        import numpy as np

        self._last = sample
        extractor, given = self.net.create_extractor(), []
        # Else values are let go of as soon as no layer waits for them.
        extractor.set_light_mode(not kept)
        for layer in self.graph.inputs:
            (name,) = layer.outputs
            given.append(self._library.Mat(np.ascontiguousarray(sample[name])).clone())
            extractor.input(name, given[-1])
        found = {}
        for name in names:
            code, value = extractor.extract(name)
            if code:
                shapes = ", ".join(f"{key} {array.shape}" for key, array in sample.items())
                raise KpiError(f"ncnn can't compute {name} of a sample with {shapes}: error {code}")
            found[name] = np.array(value)
        return found
