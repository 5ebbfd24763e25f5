"""A language model's weights were rewritten: the file is loaded and run before it enters the store."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.core.errors import KpiError, reason


def check_language_model(source: Path, made: Path) -> None:
    """Compiles a language model's IR and runs it on one token; KpiError where it can't be, or where it became another.

    Inputs and outputs must have the names and types of those of ``source``.
    """
    import numpy as np
    import openvino as ov

    try:
        compiled = ov.compile_model(str(made), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        compiled(
            {
                port.get_any_name(): np.ones(
                    [side.get_length() if side.is_static else 1 for side in port.partial_shape],
                    port.get_element_type().to_dtype(),
                )
                # The beam that a state belongs to is counted from 0; all else may be 1.
                * (0 if "beam_idx" in port.get_names() else 1)
                for port in compiled.inputs
            }
        )
    except Exception as error:
        raise KpiError(f"the model that it wrote does not run: {reason(error)}") from error
    read = ov.Core().read_model(str(source))
    for what, before, after in (
        ("inputs", read.inputs, compiled.inputs),
        ("outputs", read.outputs, compiled.outputs),
    ):
        old, new = _ports(before), _ports(after)
        if old != new:
            raise KpiError(f"the model that it wrote has the {what} {new}, the one that it read has {old}")


def _ports(ports: Sequence[Any]) -> str:
    return ", ".join(sorted(f"{port.get_any_name()} {port.get_element_type().get_type_name()}" for port in ports))
