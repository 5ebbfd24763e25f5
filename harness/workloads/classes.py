"""Which classes an answer and a label mean: decided once, the same for every metric of classifiers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from harness.core.errors import KpiError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from harness.measure.records import Outputs

    Array = npt.NDArray[Any]

_NAMED = 5


def decisions(logits: Array) -> npt.NDArray[np.intp]:
    """The class that each row of ``logits`` decides for, shape (n,).

    With two columns and more the largest, the first of equal ones; with a single column 1 where it is above zero.
    """
    if logits.ndim == 1 or logits.shape[1] == 1:
        binary: npt.NDArray[np.intp] = (logits.reshape(-1) > 0).astype("intp")
        return binary
    largest: npt.NDArray[np.intp] = logits.argmax(axis=1)
    return largest


def check_outputs(outputs: Outputs, recipe: str) -> None:
    """Raises KpiError where logits or labels are not those of a classifier, naming the recipe and the first sample."""
    import numpy as np

    check_labels(outputs.labels, len(outputs.logits))
    logits = outputs.logits
    single = logits.ndim == 1 or (logits.ndim == 2 and logits.shape[1] == 1)  # noqa: PLR2004 - (n, classes)
    if not single and logits.ndim != 2:  # noqa: PLR2004
        raise KpiError(
            f"{recipe} answers the shape {logits.shape}, a classifier answers (samples, classes)",
            "mark the output that holds the logits with the workload's `scored`",
        )
    classes = 2 if single else logits.shape[1]
    if single and logits.min() >= 0 and logits.max() <= 1:
        raise KpiError(
            f"{recipe} answers a single column with values from {logits.min():.3g} to {logits.max():.3g}, as "
            "probabilities are: a single column is decided at zero",
            "let the model answer the value before its sigmoid, or two columns",
        )
    beyond = np.flatnonzero((outputs.labels < 0) | (outputs.labels >= classes))
    if len(beyond):
        raise KpiError(
            f"{len(beyond)} of {len(outputs.labels)} labels are not among the {classes} classes that {recipe} answers: "
            f"sample {beyond[0]} has {outputs.labels[beyond[0]]}, allowed are 0 to {classes - 1}",
            "count classes from 0, in the order of the model's outputs",
        )
    check_varied(logits, recipe)


def check_varied(answers: Array, recipe: str) -> None:
    """Raises KpiError where a recipe answers, (samples, ...), the same to all of several samples."""
    import numpy as np

    if len(answers) > 1 and np.ptp(answers, axis=0).max() <= 1e-6 * np.abs(answers).max():
        raise KpiError(
            f"{recipe} answers the same to all {len(answers)} samples",
            "look for an input that does not reach the model, weights that are all zero, or a quantization that rounds "
            "all to one value",
        )


def check_labels(labels: Array, count: int) -> None:
    """Raises KpiError where labels are not one class number for each sample."""
    import numpy as np

    if labels.ndim == 2 and labels.shape[1] > 1:  # noqa: PLR2004 - one row for each sample
        raise KpiError(
            f"the labels have the shape {labels.shape}, as one-hot labels do: one class number each is needed",
            "give labels.argmax(axis=1)",
        )
    if labels.shape != (count,):
        raise KpiError(f"the labels have the shape {labels.shape}, the samples are {count}", "give one for each sample")
    if not np.issubdtype(labels.dtype, np.integer):
        whole = np.issubdtype(labels.dtype, np.floating) and bool((labels == np.floor(labels)).all())
        raise KpiError(
            f"the labels are of type {labels.dtype}, class numbers are needed",
            "give labels.astype(int)" if whole else "a model of numbers that are no classes needs a metric of its own",
        )


def remarks(outputs: Outputs) -> list[str]:
    """What a person should know: classes without a sample; answers that are no better than always the same class."""
    several = len(set(outputs.labels.tolist())) > 1
    said = [guess] if several and (guess := _no_better(decisions(outputs.logits), outputs.labels, "samples")) else []
    if outputs.logits.ndim != 2 or outputs.logits.shape[1] < 2:  # noqa: PLR2004
        return said
    missing = sorted(set(range(outputs.logits.shape[1])) - set(outputs.labels.tolist()))
    if not missing:
        return said
    named = ", ".join(map(str, missing[:_NAMED])) + (" ..." if len(missing) > _NAMED else "")
    return [*said, f"{len(missing)} of {outputs.logits.shape[1]} classes have no evaluation sample: {named}"]


def check_better_than_guessing(outputs: Outputs, recipe: str) -> None:
    """Raises KpiError where a recipe that others are compared with is not better than always the same class."""
    check_decisions(decisions(outputs.logits), outputs.labels, recipe, "samples")


def check_decisions(found: Array, labels: Array, recipe: str, what: str) -> None:
    """The same of decisions and labels, (n,), of which ``what`` says what they are about."""
    if said := _no_better(found, labels, what):
        raise KpiError(
            f"{recipe} is {said}: a comparison with it proves nothing",
            "check its labels, what its inputs are normalized with, and its weights",
        )


def _no_better(found: Array, labels: Array, what: str) -> str:
    """How often decisions are right, and always the same class would be; empty where they are right more often."""
    import numpy as np

    right = float((found == labels).mean())
    guessed = float(np.bincount(labels).max()) / len(labels)
    if right > guessed + 2 * math.sqrt(guessed * (1 - guessed) / len(labels)):
        return ""
    return (
        f"right on {100 * right:.3g} % of the {what}, always the most frequent class would be on {100 * guessed:.3g} %"
    )
