"""Tiny models with one fault each, and the healthy twin of each: the workload's name says which."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from zoo import data, exports, hidden, narrow, numbers, outputs, served
from zoo.fault import Fault
from zoo.stripes import matched, stripes

from harness.workloads.base import ArraySplit, Settings, Split, StudentNetwork, TensorSpec, TensorWorkload

FAULTS: dict[str, Fault] = {
    **numbers.FAULTS,
    **exports.FAULTS,
    **outputs.FAULTS,
    **data.FAULTS,
    **narrow.FAULTS,
    **served.FAULTS,
    **hidden.FAULTS,
}
HEALTHY = "-healthy"


class Zoo(TensorWorkload):
    """A workload named after a fault has it; with ``-healthy`` behind the name it has not."""

    inputs = (TensorSpec("image", (1, 16, 16)),)

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.broken = not settings.name.endswith(HEALTHY)
        self.fault = FAULTS[settings.name.removesuffix(HEALTHY)]
        self.outputs = self.fault.outputs if self.broken else ("logits",)  # type: ignore[misc]
        self.scored = self.fault.scored if self.broken else None  # type: ignore[misc]

    def fingerprint(self) -> str:
        code = b"".join(file.read_bytes() for file in sorted(Path(__file__).parent.glob("*.py")))
        return f"{self.settings.name} {hashlib.sha256(code).hexdigest()}"

    def about(self) -> dict[str, str]:
        return {"data": "generated", "fault": self.fault.what if self.broken else "none"}

    def model(self) -> Any:
        made = self.fault.network if self.broken else self.fault.healthy
        return (made or matched)()

    def student(self, width: float, pixels: int) -> StudentNetwork:
        del width, pixels
        made = self.fault.smaller if self.broken else None
        return StudentNetwork((made or matched)(), trained=True)

    def split(self, name: str) -> Split:
        images, labels = stripes(name)
        spoil = self.fault.data if self.broken else self.fault.good
        if spoil:
            images, labels = spoil(name, images, labels)
        return ArraySplit(images if isinstance(images, dict) else {"image": images}, labels)
