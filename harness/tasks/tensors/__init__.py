"""Any model of tensors: judged by how close its outputs are to those of its reference, without labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.spec.default_space import tensor_space
from harness.spec.tasks import Guess, Task

if TYPE_CHECKING:
    import numpy.typing as npt

    from harness.workloads.files.signature import Signature

ARRAY = "array"


def _guess(signature: Signature, labels: npt.NDArray[Any] | None) -> Guess:
    """Whatever it is, as long as it answers something."""
    del labels
    return Guess((signature.floats or signature.outputs)[0].name, sure=0)


TASKS = (
    Task(
        "tensors",
        labelled=False,
        answers=ARRAY,
        metric="parity.relative_error",
        space=tensor_space,
        guess=_guess,
        kept=("parity.relative_error", "<= {share}", "how far its outputs may be from those of the delivered file"),
    ),
)
