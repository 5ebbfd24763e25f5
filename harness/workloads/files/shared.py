"""Inputs that are no samples: constants that all samples share, state that is carried on; where the batch is."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from harness.core.errors import KpiError, suggest
from harness.core.state import StateInput
from harness.workloads.files.signature import Port, Signature

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


def constants_of(signature: Signature, given: Mapping[str, Any], model: str) -> dict[str, npt.NDArray[np.generic]]:
    """The arrays of the constants by input. Raises KpiError where one is not an input, or does not fit it."""
    import numpy as np

    ports = {port.name: port for port in signature.inputs}
    found = {}
    for name, value in given.items():
        port = _port(ports, name, model, "constants")
        try:
            array = np.asarray(value).astype(port.dtype)
            if not array.ndim and port.shape and all(size == 1 for size in port.shape):
                array = array.reshape([1] * len(port.shape))
            fits = port.fits(array.shape)
        except (TypeError, ValueError):
            fits = False
        if not fits:
            raise KpiError(
                f"constants: {name} = {value!r} does not fit: {model} takes {port}",
                "write a number for a scalar, a list for one axis, lists of lists for more",
            )
        found[name] = array
    return found


def state_of(signature: Signature, given: Mapping[str, str], model: str) -> tuple[StateInput, ...]:
    """The inputs that carry state, each with its output. Raises KpiError where one is not there, or both differ."""
    inputs, outputs = ({port.name: port for port in ports} for ports in (signature.inputs, signature.outputs))
    found = []
    for name, output in given.items():
        port, end = _port(inputs, name, model, "state"), _port(outputs, output, model, "state")
        same = port.shape is None or end.shape is None or len(port.shape) == len(end.shape)
        if port.dtype != end.dtype or not same:
            raise KpiError(f"state: {model} takes {port} and answers {end}: they must have the same type and rank")
        if port.shape is None:
            raise KpiError(f"state: {model} does not say the shape of {name}", "export it with its shape")
        if sum(size is None for size in port.shape) > 1:
            raise KpiError(f"state: {model} takes {port}: only the batch may be open", "export it with its shape")
        found.append(StateInput(name, output, port.shape, port.dtype))
    return tuple(found)


def sequences_of(signature: Signature) -> Signature:
    """The inputs as sequences of them: frames are counted by the second axis."""
    return replace(signature, inputs=tuple(_sequence(port) for port in signature.inputs))


def _sequence(port: Port) -> Port:
    return port if port.shape is None else replace(port, shape=(*port.shape[:1], None, *port.shape[1:]))


def _port(ports: Mapping[str, Port], name: str, model: str, key: str) -> Port:
    if name not in ports:
        raise KpiError(f"{key}: {suggest(name, ports, 'name')}; {model} has {', '.join(map(str, ports.values()))}")
    return ports[name]


_BATCH = frozenset({"batch", "batch_size", "batchsize"})


def batch_axes(signature: Signature, given: Mapping[str, int], apart: Collection[str], model: str) -> dict[str, int]:
    """Where the batch is in inputs and outputs in which it is not the first axis, by name; those ``apart`` left out.

    ``given`` says it; of others the names of their axes do, where one alone is called batch. Raises KpiError for what
    the model does not have.
    """
    ports = {port.name: port for port in (*signature.inputs, *signature.outputs) if port.name not in apart}
    found = {}
    for name, axis in given.items():
        port = _port(ports, name, model, "batch_axis")
        if port.shape is None or axis >= len(port.shape):
            raise KpiError(f"batch_axis: {name} = {axis}: {model} has {port}", "axes are counted from 0")
        found[name] = axis
    for name, port in ports.items():
        called = [axis for axis, text in enumerate(port.axes) if text.lower() in _BATCH]
        if name not in given and len(called) == 1:
            found[name] = called[0]
    return {name: axis for name, axis in found.items() if axis}


def batch_first(signature: Signature, axes: Mapping[str, int]) -> Signature:
    """The same with the batch as the first axis."""

    def turned(port: Port) -> Port:
        axis = axes.get(port.name, 0)
        moved = [*range(axis, axis + 1), *range(axis), *range(axis + 1, len(port.shape or ()))]
        if not axis or port.shape is None:
            return port
        names = tuple(port.axes[place] for place in moved) if port.axes else ()
        return replace(port, shape=tuple(port.shape[place] for place in moved), axes=names)

    inputs, outputs = (tuple(map(turned, ports)) for ports in (signature.inputs, signature.outputs))
    return replace(signature, inputs=inputs, outputs=outputs)
