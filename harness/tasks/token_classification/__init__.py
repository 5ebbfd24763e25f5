"""Models that give each word of a text a class: names of people and places, parts of speech."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from harness.core.registry import options_table
from harness.spec.default_space import tensor_space
from harness.spec.tasks import Guess, Task
from harness.workloads.files.lines import IGNORED

if TYPE_CHECKING:
    import numpy.typing as npt

    from harness.workloads.files.signature import Signature

_PREFIXES = {"IOB2": "BI", "BIOES": "BIES"}
OUTSIDE = "O"


@options_table
class Tagging:
    """``tags``: the names of the classes, in the order of the model's.

    ``scheme``: how tags mark entities of several words, "IOB2" (B-PER, I-PER), "BIOES" (also E-PER, S-PER), or "none"
    where classes are no entities. ``strict``: only entities that the scheme allows count; without it, as in conlleval,
    what continues nothing begins one.
    """

    tags: Sequence[str]
    scheme: Literal["IOB2", "BIOES", "none"] = "IOB2"
    strict: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.tags, str) or len(self.tags) < 2:  # noqa: PLR2004 - nothing is decided among fewer
            raise ValueError("tags must name two classes at least")
        if len(set(self.tags)) < len(self.tags):
            twice = next(tag for tag in self.tags if list(self.tags).count(tag) > 1)
            raise ValueError(f'tags names "{twice}" twice')
        if self.scheme == "none":
            return
        prefixes = _PREFIXES[self.scheme]
        for tag in self.tags:
            prefix, dash, kind = tag.partition("-")
            if tag != OUTSIDE and not (dash and kind and prefix in tuple(prefixes)):
                allowed = ", ".join(f"{prefix}-NAME" for prefix in prefixes)
                raise ValueError(
                    f'tag "{tag}" is not of the scheme {self.scheme}, which has O, {allowed}; scheme = "none" takes any'
                )

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes."""
        return tuple(self.tags)


def _guess(signature: Signature, labels: npt.NDArray[Any] | None) -> Guess | None:
    """A class for each token, and an output that has a row of scores for each."""
    if labels is None or labels.ndim != 2 or labels.dtype.kind not in "iu" or IGNORED not in labels:  # noqa: PLR2004
        return None
    rows = [port for port in signature.floats if port.shape is not None and len(port.shape) == 3]  # noqa: PLR2004
    return Guess(rows[0].name, sure=3) if rows else None


TASKS = (
    Task(
        "token-classification",
        answers="array",
        metric="accuracy.entity_f1",
        hub="token-classification",
        options=Tagging,
        space=tensor_space,
        names="tags",
        guess=_guess,
        starting=(("accuracy.tokens", ">= 80 %", "a starting point: write what you need"),),
        kept=("accuracy.entity_f1", "drop <= {drop} vs {reference}", "how much of what it finds it may lose"),
    ),
)
TAGGING = frozenset(task.name for task in TASKS)
