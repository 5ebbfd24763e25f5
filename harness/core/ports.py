"""The names of OpenVINO's inputs and outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def names_of(ports: Sequence[Any]) -> list[tuple[str, int]]:
    """Every name of each port with the port's place.

    To be asked of a model before it is compiled: compiling may add names of what is inside.
    """
    return [(name, place) for place, port in enumerate(ports) for name in sorted(port.get_names())]
