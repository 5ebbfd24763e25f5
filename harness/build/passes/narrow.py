"""Takes a narrower network for smaller pictures in place of the reference model, trained by it where need be."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from harness.build.passes.base import Pass, PassContext
from harness.build.passes.data import accuracy, batches
from harness.build.passes.training import Plan, train
from harness.core.errors import KpiError
from harness.core.formats import REFERENCE
from harness.core.registry import options_table

if TYPE_CHECKING:
    import torch

FORMAT = "network"
_WEIGHTS, SHAPE = "model.safetensors", "network.json"
_CHECKED = 200
_BATCH = 32


class Narrow(Pass):
    """The fixture's network of a width, which makes its pictures smaller by itself: it takes what the reference takes.

    Its weights are those that the fixture ships; with ``steps`` they are trained on, the reference being the teacher
    (cross entropy, and the divergence from the teacher's softened answer: Hinton, Vinyals, Dean 2015).
    """

    name = "narrow"
    title = "a narrower network for smaller pictures"
    effort = 35.0
    input_formats = frozenset({REFERENCE})
    output_format = FORMAT
    requires = ("torch", "safetensors")

    @options_table
    class Options:
        """What network, and how its weights are found.

        ``width``: the share of the channels; ``pixels``: a side of the pictures inside; ``steps``: training steps on 32
        training samples each, none: the weights that the fixture ships; ``settle``: training samples on which batch
        normalization's averages are computed again, since they depend on the size of the pictures, 0: as they were
        trained.
        """

        width: float = 0.5
        pixels: int = 160
        steps: int = 0
        learning_rate: float = 1e-3
        seed: int = 1
        settle: int = 0

        def __post_init__(self) -> None:
            if not 0.05 <= self.width <= 4:  # noqa: PLR2004 - no network is as narrow, no gain is in a wider one
                raise ValueError("width must be from 0.05 to 4")
            if not 8 <= self.pixels <= 4096:  # noqa: PLR2004 - as pictures are
                raise ValueError("pixels must be from 8 to 4096")
            if self.steps < 0 or self.settle < 0:
                raise ValueError("steps and settle must be at least 0")
            if not 0 < self.learning_rate < 1:
                raise ValueError("learning_rate must be above 0 and below 1")

    def run(self, job: PassContext) -> dict[str, Any]:
        import torch
        from safetensors.torch import save_file

        torch.set_num_threads(1)
        torch.manual_seed(self.options.seed)
        chosen = self.options
        made = job.tensors.student(chosen.width, chosen.pixels)
        if not made.trained and not chosen.steps:
            raise KpiError(
                f"the fixture ships no weights of width {chosen.width:g}",
                "choose a width that it ships, or train them: steps = 2000",
            )
        network = made.network
        if chosen.steps:
            self._train(job, network)
        if chosen.settle:
            job.progress(f"settling on {chosen.settle} samples")
            settle(network, [feeds(job, data) for data, _ in batches(job.tensors, "training", chosen.settle, _BATCH)])
        network.eval()
        job.progress("scoring on validation samples")
        with torch.inference_mode():
            right = accuracy(job.tensors, _CHECKED, lambda data: network(*feeds(job, data)).numpy())
        state = {name: tensor.contiguous().clone() for name, tensor in network.state_dict().items()}
        save_file(state, job.out / _WEIGHTS)
        shape = {"width": chosen.width, "pixels": chosen.pixels}
        (job.out / SHAPE).write_text(json.dumps(shape), encoding="utf-8")
        return {"parameters": sum(p.numel() for p in network.parameters()), "validation": right}

    def _train(self, job: PassContext, network: torch.nn.Module) -> None:
        import torch

        teacher = job.tensors.model()
        split = job.tensors.split("training")
        count = len(split)

        def loss(step: int) -> torch.Tensor:
            start = step * _BATCH % max(1, count - _BATCH + 1)
            stop = min(start + _BATCH, count)
            inputs = feeds(job, split.inputs(start, stop))
            with torch.no_grad():
                wanted = teacher(*inputs)
            return distillation(network(*inputs), wanted, torch.from_numpy(split.labels[start:stop]))

        train(
            network,
            Plan(self.options.steps, self.options.learning_rate, self.options.seed),
            loss,
            job.work,
            job.progress,
        )


def feeds(job: PassContext, data: Any) -> tuple[torch.Tensor, ...]:
    """Arrays by name as tensors in the network's order."""
    import torch

    return tuple(torch.from_numpy(data[spec.name]) for spec in job.tensors.inputs)


def distillation(
    said: torch.Tensor, teacher: torch.Tensor, labels: torch.Tensor, temperature: float = 2.0, soft: float = 0.7
) -> torch.Tensor:
    """Cross entropy with the labels, and ``soft`` of the divergence from the teacher's answer at a temperature."""
    from torch.nn.functional import cross_entropy, kl_div

    apart = kl_div((said / temperature).log_softmax(1), (teacher / temperature).softmax(1), reduction="batchmean")
    return soft * temperature**2 * apart + (1 - soft) * cross_entropy(said, labels)


def settle(network: torch.nn.Module, inputs: list[tuple[torch.Tensor, ...]]) -> None:
    """Computes the averages of every batch normalization again, over all ``inputs`` alike."""
    import torch

    found = [module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    before = [module.momentum for module in found]
    for module in found:
        module.reset_running_stats()
        module.momentum = None  # the plain mean over the batches
    network.train()
    with torch.no_grad():
        for feed in inputs:
            network(*feed)
    for module, momentum in zip(found, before, strict=True):
        module.momentum = momentum
    network.eval()


def network_of(job: PassContext) -> torch.nn.Module:
    """What an export writes: the network that :class:`Narrow` left, else the reference."""
    if job.source is None:
        return job.tensors.model()
    from safetensors.torch import load_file

    shape = json.loads(job.input(SHAPE).read_text(encoding="utf-8"))
    network = job.tensors.student(shape["width"], shape["pixels"]).network
    network.load_state_dict(load_file(job.input(_WEIGHTS)))
    return network.eval()
