"""Any model of tensors: judged by how close its outputs are to those of its reference, without labels."""

from __future__ import annotations

from harness.spec.default_space import tensor_space
from harness.spec.tasks import Task

ARRAY = "array"
TASKS = (Task("tensors", labelled=False, answers=ARRAY, metric="parity.relative_error", space=tensor_space),)
