"""Finds the fewest operators that must return to FP32 for a quantized model to keep its accuracy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Found:
    """The operators left in FP32, with the accuracy reached."""

    excluded: tuple[str, ...]
    accuracy: float


def quantize_within(
    nodes: Sequence[str],
    floor: float,
    attempt: Callable[[Sequence[str]], float],
    rank: Callable[[], Mapping[str, float]],
    progress: Callable[[str], None],
) -> Found:
    """Quantizes all of ``nodes``, then returns the most harmful to FP32 until ``floor`` is kept.

    ``attempt(excluded)`` builds the model and gives its accuracy; ``rank()`` gives each node's harm and is asked only
    when the first attempt fails. The number of excluded nodes doubles until the floor is kept, then is narrowed by
    bisection; accuracy is close to monotonic in it, so the result is the fewest up to noise. Where even
    that of all nodes excluded is below the floor, it is that.
    """
    best = attempt(())
    if best >= floor:
        return Found((), best)
    progress(f"accuracy {best:.4f} is below {floor:.4f}: ranking {len(nodes)} operators by harm")
    harm = rank()
    order = sorted(nodes, key=lambda node: -harm[node])
    kept, lost = len(order), 0
    accuracies: dict[int, float] = {}
    count = 1
    while count < len(order):
        accuracies[count] = attempt(order[:count])
        progress(f"{count} operators in FP32: accuracy {accuracies[count]:.4f}, needed {floor:.4f}")
        if accuracies[count] >= floor:
            kept = count
            break
        lost, count = count, count * 2
    while kept - lost > 1:
        middle = (kept + lost) // 2
        accuracies[middle] = attempt(order[:middle])
        progress(f"{middle} operators in FP32: accuracy {accuracies[middle]:.4f}, needed {floor:.4f}")
        if accuracies[middle] >= floor:
            kept = middle
        else:
            lost = middle
    # The last attempt need not be the chosen one: build that again.
    return Found(tuple(order[:kept]), attempt(order[:kept]))
