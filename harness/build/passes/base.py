"""What a pass is: it reads one directory of files, writes another."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from harness.core.errors import KpiError
from harness.core.registry import NoOptions
from harness.workloads.base import TensorWorkload, Workload
from harness.workloads.checkpoint import file_digest

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class PassContext:
    """What a pass gets: where to read, where to write, whose model it is, whom to tell how far it is.

    ``source`` is the directory of the artifact before this pass, None for the first pass of a recipe. ``out`` is
    empty and becomes the artifact; ``scratch`` is a folder for files that are thrown away, ``work`` one that outlives
    a kill: the next attempt at the same artifact finds it as it was left. ``root`` is the TOML's folder.
    """

    source: Path | None
    out: Path
    scratch: Path
    work: Path
    workload: Workload
    progress: Callable[[str], None]
    root: Path = Path()
    remarks: list[str] = field(default_factory=list)

    def remark(self, text: str) -> None:
        """Keeps what a person should know of how the artifact was made: shown with every verdict on it."""
        self.remarks.append(text)

    @property
    def tensors(self) -> TensorWorkload:
        """The workload of a pass that is for models of tensors."""
        if not isinstance(self.workload, TensorWorkload):
            raise KpiError("this pass is for models of tensors, and the fixture is of another kind")
        return self.workload

    def input(self, name: str) -> Path:
        """A file of the artifact before this pass."""
        if self.source is None:
            raise RuntimeError("the first pass of a recipe has no files to read")
        return self.source / name


class Pass(ABC):
    """One step of a recipe.

    ``input_formats`` are the formats it reads ("reference" is the workload's own model, not yet a file),
    ``output_format`` is the format it writes. Where its code changes, comments and docstrings aside, artifacts made
    before are not reused. ``requires`` names the distributions whose versions belong to the artifact's identity;
    ``environment`` is where they are, None where the harness is. ``effort`` is about how many seconds the pass takes
    on two cores: what is cheap is judged first. ``files`` are the options that name files from the TOML's folder
    on: what such a file holds belongs to the identity, not what it is called. ``any_names`` says that it can read a
    file that calls inputs and outputs otherwise than the workload (``tensor_facts(source).naming``), and keeps these.
    ``hub`` is what the Hugging Face hub calls the library of what it writes; one pass of a format says it.
    ``by_name`` says that what it takes belongs to a workload of that name, whatever that holds. ``folding`` are the
    options with which it computes ahead what follows from constants, and changes no more; None where it does not.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    input_formats: ClassVar[frozenset[str]]
    output_format: ClassVar[str]
    hub: ClassVar[str] = ""
    requires: ClassVar[tuple[str, ...]] = ()
    environment: ClassVar[str | None] = None
    files: ClassVar[tuple[str, ...]] = ()
    any_names: ClassVar[bool] = False
    by_name: ClassVar[bool] = False
    folding: ClassVar[Mapping[str, Any] | None] = None
    effort: ClassVar[float] = 10.0
    Options: ClassVar[type[Any]] = NoOptions

    def __init__(self, options: Any) -> None:
        self.options = options

    @property
    def tolerance(self) -> float | None:
        """How far the answers of what it writes may differ from those of what it reads, as a share of their spread.

        None: it changes them on purpose, and the KPIs judge by how much.
        """
        return 1e-3

    @property
    def integer(self) -> bool:
        """Whether what it writes computes with integers, whose results depend on the processor's class."""
        return False

    @property
    def batch(self) -> int | None:
        """The only batch size that what it writes takes; None where it may vary."""
        return None

    @classmethod
    def belonging(cls, file: Path) -> list[Path]:
        """A file that an option names, with others that are read with it; what all hold belongs to the identity."""
        return [file]

    @classmethod
    def settled(cls, root: Path, options: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, str]]:
        """The options as the pass is run with them, and what the things that they name hold, as digests.

        Asked once in a run. Where an option names something that moves, its present value takes its place. ``root`` is
        the TOML's folder. Raises KpiError where something can't be read.
        """
        found = {}
        for option in cls.files:
            file = root / options[option]
            try:
                read = [file_digest(one) for one in cls.belonging(file)]
                found[option] = read[0] if len(read) == 1 else hashlib.sha256("".join(read).encode()).hexdigest()
            except OSError as error:
                raise KpiError(
                    f'pass "{cls.name}": {option} {options[option]} can\'t be read: {error.strerror}',
                    "paths are relative to the TOML's folder",
                ) from None
        return options, found

    def source_network(self, job: PassContext) -> torch.nn.Module | None:
        """The network in the files that it reads, where they are in a format of its own; else None."""
        del job
        return None

    def remedy(self, error: Exception) -> str:
        """What to try where a library stopped with ``error`` while the pass ran; empty where that is not known."""
        del error
        return ""

    @abstractmethod
    def run(self, job: PassContext) -> Mapping[str, Any]:
        """Writes ``job.out``; what it returns (plain JSON) is kept in the manifest as this pass's notes.

        ``compared`` among them says how far it differs from what it read, where the pass compares that itself; the
        files of tensor models are compared after it. Of files that were made elsewhere ``format`` is theirs, ``before``
        holds what the passes that made them left, ``released`` says in a few words what they are.
        """


class Quantizer(Pass):
    """A pass whose result computes with integers; how far its answers differ is judged by the KPIs."""

    @property
    def integer(self) -> bool:
        return True

    @property
    def tolerance(self) -> float | None:
        return None
