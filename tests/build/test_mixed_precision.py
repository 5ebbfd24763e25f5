"""The fall-back to FP32: the fewest operators, the most harmful first, and the model built last is the chosen one."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.build.passes.mixed_precision import quantize_within


@given(st.lists(st.floats(0, 0.05), min_size=1, max_size=40), st.floats(0, 0.5))
def test_the_fewest_most_harmful_operators_return(losses: list[float], limit: float) -> None:
    nodes = [f"node{i}" for i in range(len(losses))]
    harm = dict(zip(nodes, losses, strict=True))
    built: list[Sequence[str]] = []

    def attempt(excluded: Sequence[str]) -> float:
        built.append(tuple(excluded))
        return 0.9 - sum(loss for node, loss in harm.items() if node not in excluded)

    floor = 0.9 - limit
    found = quantize_within(nodes, floor, attempt, lambda: harm, lambda _: None)
    assert built[-1] == found.excluded
    assert found.accuracy >= floor - 1e-9
    if found.excluded:
        # One operator fewer would not do.
        assert attempt(sorted(nodes, key=lambda node: -harm[node])[: len(found.excluded) - 1]) < floor


def test_nothing_is_ranked_when_everything_may_be_quantized() -> None:
    def rank() -> dict[str, float]:
        pytest.fail("ranked without need")

    found = quantize_within(["a", "b"], 0.5, lambda _: 0.6, rank, lambda _: None)
    assert found.excluded == ()
