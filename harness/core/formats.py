"""The names of file formats that a pass reads or writes and a runtime runs."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

REFERENCE = "reference"
"""The workload's own model, before any pass has written a file."""
MODEL_FILES: Mapping[str, str] = MappingProxyType({".onnx": "onnx", ".xml": "openvino"})
"""The format of a model that is a file, by how its name ends."""
