"""A training loop that can be killed anywhere and goes on to the very same weights."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_SAVE_S = 5.0
_WARMUP = 0.05


@dataclass(frozen=True, slots=True)
class Plan:
    """``steps`` of AdamW; the rate rises over the first twentieth, then falls to nothing in a straight line."""

    steps: int
    learning_rate: float
    seed: int = 0
    weight_decay: float = 0.01

    def rate(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        warm = max(1, int(_WARMUP * self.steps))
        left = (self.steps - step) / max(1, self.steps - warm)
        return self.learning_rate * min((step + 1) / warm, left)


def train(
    model: torch.nn.Module,
    plan: Plan,
    loss: Callable[[int], torch.Tensor],
    work: Path,
    progress: Callable[[str], None],
) -> float:
    """Trains ``model`` in place; ``loss(step)`` depends on the step and the weights alone. Returns the last loss.

    The state is kept in ``work`` every 5 seconds, so that a run that was stopped goes on there; weights that are not
    trained are not kept. One thread: the same weights to the last bit, whenever it was stopped.
    """
    import torch

    learned = [weight for weight in model.parameters() if weight.requires_grad]
    frozen = {name for name, weight in model.named_parameters() if not weight.requires_grad}
    optimizer = torch.optim.AdamW(learned, lr=plan.learning_rate, weight_decay=plan.weight_decay)
    file, first = work / "state.pt", 0
    if file.exists():
        kept = torch.load(file, weights_only=True)
        model.load_state_dict(kept["model"] | {name: model.get_parameter(name).detach() for name in frozen})
        optimizer.load_state_dict(kept["optimizer"])
        first = int(kept["step"])
        progress(f"going on at step {first} of {plan.steps}")
    model.train()
    value, saved = float("nan"), time.monotonic()
    for step in range(first, plan.steps):
        for group in optimizer.param_groups:
            group["lr"] = plan.rate(step)
        # What is random in the network (dropout) depends on the step alone, wherever the run began.
        torch.manual_seed(1_000_003 * plan.seed + step)
        now = loss(step)
        optimizer.zero_grad()
        now.backward()
        torch.nn.utils.clip_grad_norm_(learned, 1.0)
        optimizer.step()
        value = float(now.detach())
        if step % 10 == 0:
            progress(f"step {step + 1} of {plan.steps}, loss {value:.3f}")
        if time.monotonic() - saved > _SAVE_S:
            state = {name: value for name, value in model.state_dict().items() if name not in frozen}
            _save(file, {"step": step + 1, "model": state, "optimizer": optimizer.state_dict()})
            saved = time.monotonic()
    model.eval()
    return value


def _save(file: Path, state: dict[str, object]) -> None:
    import torch

    aside = file.with_suffix(".part")
    torch.save(state, aside)
    aside.replace(file)


class Order:
    """Which samples a step sees: depends on the seed and the step alone, so that a resumed run agrees."""

    def __init__(self, count: int, batch: int, seed: int) -> None:
        self._count = count
        self._batch = min(batch, count)
        self._seed = seed
        self._epoch = -1
        self._order: list[int] = []

    def rows(self, step: int) -> list[int]:
        """The samples of a step, by their place in the data."""
        epoch, place = divmod(step, max(1, self._count // self._batch))
        if epoch != self._epoch:
            self._epoch, self._order = epoch, list(range(self._count))
            random.Random(f"{self._seed} {epoch}").shuffle(self._order)  # noqa: S311 (an order, not a secret)
        return self._order[place * self._batch : (place + 1) * self._batch]
