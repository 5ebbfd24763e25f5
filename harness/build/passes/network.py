"""The network that an export reads: in evaluation mode, its outputs in the order in which the workload names them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.build.passes.narrow import network_of
from harness.core.errors import KpiError

if TYPE_CHECKING:
    import torch

    from harness.build.passes.base import PassContext


def exportable(job: PassContext, batch: int | None = None) -> torch.nn.Module:
    """What ``onnx`` and ``torch`` write: the reference network, or the one that ``narrow`` left.

    ``batch`` is the only batch size that it is asked with, None: any.
    """
    import torch

    network = network_of(job)
    if any(module.training for module in network.modules()):
        network.eval()
        job.remark("the network was in training mode: it was put into evaluation mode")
    _require_numbers(network)
    names = tuple(job.tensors.outputs)
    try:
        with torch.no_grad():
            said = network(*example(job, batch))
    except Exception:  # noqa: BLE001 - the exporter meets it too, and says which axis it is about
        return network
    named_outputs(names, said)
    if not isinstance(said, Mapping):
        return network

    # Exporters name tensors in the order in which they come, not by their keys.
    network.register_forward_hook(lambda _, __, answered: tuple(named_outputs(names, answered).values()))
    return network


def _require_numbers(network: torch.nn.Module) -> None:
    """Raises KpiError where weights hold NaN or infinity, whatever hides them in the answers."""
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            bad = int((~tensor.isfinite()).sum())
            raise KpiError(
                f"{bad} of {tensor.numel()} numbers of the network's {name} are NaN or infinite",
                "load the weights again, or look at how they were trained",
            )


def example(job: PassContext, batch: int | None) -> tuple[torch.Tensor, ...]:
    """Zeros as the network takes them: ``batch`` samples; two where the batch may vary, since one may become fixed."""
    import torch

    return tuple(
        torch.zeros((batch or 2, *spec.shape), dtype=getattr(torch, spec.dtype)) for spec in job.tensors.inputs
    )


def named_outputs(names: Sequence[str], said: Any) -> dict[str, Any]:
    """The tensors that a network returned, by name: a mapping's by their keys, others in the order of ``names``.

    Raises KpiError where there are fewer or more, or none of a name.
    """
    if isinstance(said, Mapping):
        if lacking := [name for name in names if name not in said]:
            raise KpiError(
                f"the network returns {', '.join(map(str, said))}, not {', '.join(lacking)}",
                "let the workload's `outputs` name what it returns",
            )
        return {name: said[name] for name in names}
    tensors = said if isinstance(said, tuple | list) else (said,)
    if len(tensors) != len(names):
        raise KpiError(
            f"the network returns {len(tensors)} tensors, the workload names {len(names)}: {', '.join(names)}",
            "let the workload's `outputs` name each tensor, in the order in which they are returned",
        )
    return dict(zip(names, tensors, strict=True))
