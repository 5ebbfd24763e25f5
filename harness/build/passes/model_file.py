"""Takes a model that is a file as it was delivered: the first step of a recipe that has a ``model``."""

from __future__ import annotations

import shutil
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from harness.build.passes import faithful
from harness.build.passes.base import Pass, PassContext
from harness.core.errors import KpiError
from harness.core.formats import REFERENCE
from harness.core.naming import Naming
from harness.core.registry import options_table
from harness.workloads.checkpoint import file_digest
from harness.workloads.files.shared import batch_axes, constants_of
from harness.workloads.files.signature import Signature, read_signature

if TYPE_CHECKING:
    from harness.build.passes.faithful import Run


def turns(axis: int, count: int) -> tuple[list[int], list[int]]:
    """The orders of ``count`` axes that put the batch, first, at ``axis``, and from there back to the front."""
    rest = [place for place in range(count) if place != axis]
    back = [axis, *rest]
    return [back.index(place) for place in range(count)], back


class ModelFile(Pass):
    """Copies the file and the weights next to it; nothing in them changes.

    ``suffixes`` say how the names of such files end, the usual one first: by them it is found for a ``model``.
    """

    suffixes: ClassVar[tuple[str, ...]]
    input_formats = frozenset({REFERENCE})
    effort = 1.0
    files = ("file",)

    @options_table
    class Options:
        """``file``: from the TOML's folder on; ``sha256``: its digest, where it is pinned.

        ``inputs`` and ``outputs``: what the workload calls those of the file, by the file's names.
        """

        file: str
        sha256: str | None = None
        inputs: Mapping[str, Any] = field(default_factory=dict)
        outputs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def tolerance(self) -> float | None:
        """Answers of a file with dynamic ranges depend on the batch; the KPIs judge by how much, the worst counts."""
        return None

    @property
    def naming(self) -> Naming:
        """What the workload calls the file's inputs and outputs."""
        return Naming.of(self.options.inputs, self.options.outputs)

    @classmethod
    @abstractmethod
    def signature(cls, file: Path) -> Signature:
        """What the file says of itself; no session is made. Raises KpiError, with the reason, where it is no such file.

        Raises ImportError where the library that reads it is not installed.
        """

    @classmethod
    def table_rows(cls, file: Path) -> dict[str, int]:
        """For inputs that choose rows of a table of weights, such as token ids, how many rows there are.

        Empty where the file does not say it.
        """
        del file
        return {}

    @classmethod
    def copied_to(cls, one: Path, file: Path) -> str:
        """What a file that belongs to the model's is called next to it, as the model names it."""
        return one.relative_to(file.parent).as_posix()

    @classmethod
    @abstractmethod
    def opened(cls, folder: Path) -> Run:
        """How the model file of an artifact in ``folder`` is asked: outputs for inputs, by the file's own names.

        A pass that wrote such a file is held against what it read by it. Raises what the library raises.
        """

    def run(self, job: PassContext) -> dict[str, Any]:
        file = job.root / self.options.file
        signature = read_signature(file)
        if file.suffix.lower() not in self.suffixes:
            raise KpiError(f'pass "{self.name}" takes no {file.suffix}: {file.name}')
        self._check_digest(file)
        if naming := self.naming:
            naming.check(file.name, *({p.name: p for p in ports} for ports in (signature.inputs, signature.outputs)))
            if job.tensors.state:
                raise KpiError("inputs, outputs: other names are not supported yet for a model that keeps state")
            signature = signature.called(naming)
        constants = constants_of(signature, job.workload.settings.constants, file.name)
        wanted = {*job.tensors.input_names, *constants, *(one.name for one in job.tensors.state)}
        if (found := {port.name for port in signature.inputs}) != wanted:
            raise KpiError(
                f"{file.name} takes {', '.join(sorted(found))}, the workload's model takes {', '.join(sorted(wanted))}",
                "models of one workload must have the same inputs; say in the recipe what the workload calls those of "
                'its file: inputs = { "name in the file" = "name in the workload" }',
            )
        for one in self.belonging(file):
            named = f"model{file.suffix.lower()}" if one == file else self.copied_to(one, file)
            (job.out / named).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(one, job.out / named)
        judged = job.tensors.read_outputs
        rest = [name for name in job.tensors.outputs if name not in judged]
        if rest:
            own = f"output {judged[0]} is" if len(judged) == 1 else f"outputs {', '.join(judged)} are"
            job.remark(f"only the {own} judged, not {', '.join(rest)}")
        for text in job.tensors.remarks:
            job.remark(text)
        # A file of another recipe that has names of its own says the order of its axes there.
        self._change(job, signature if not naming else None, constants)
        notes = {"file": file.name, "about": signature.about}
        if naming:
            notes["naming"] = {"inputs": dict(self.options.inputs), "outputs": dict(self.options.outputs)}
        return {**notes, "compared": faithful.check_alone(job, self, naming)}

    def _change(self, job: PassContext, signature: Signature | None, constants: Mapping[str, Any]) -> None:
        """Makes the batch the first axis, as far as a signature says where it is, and constants of inputs."""
        file, settings = Path(self.options.file), job.workload.settings
        made = job.out / f"model{file.suffix.lower()}"
        others = {*constants, *settings.state, *settings.state.values()}
        if signature and (axes := batch_axes(signature, settings.batch_axis, others, file.name)):
            self.turn(made, axes)
            job.remark(f"the batch became the first axis of {', '.join(axes)}, within the model")
        if constants:
            self.fix(made, constants)
            job.remark(f"{', '.join(constants)} became constants of the model, as the workload says")

    @abstractmethod
    def fix(self, model: Path, constants: Mapping[str, Any]) -> None:
        """Makes inputs constants of the model."""

    @classmethod
    def digest(cls, file: Path) -> str:
        """What `model_sha256` pins."""
        return file_digest(file)

    def turn(self, model: Path, axes: Mapping[str, int]) -> None:
        """Makes the batch the first axis of inputs and outputs, which have it at another place."""
        raise KpiError(
            f"the batch is not the first axis of {', '.join(axes)}: axes of a {model.suffix} file can't be turned",
            "convert the model with the batch first",
        )

    def _check_digest(self, file: Path) -> None:
        digest, pinned = self.digest(file), self.options.sha256
        if pinned is not None and digest != pinned:
            raise KpiError(
                f"{file.name} has the digest {digest[:16]}..., pinned is {pinned[:16]}...",
                "fetch it again, or pin the new digest if the change is meant",
            )
