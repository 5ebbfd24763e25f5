"""What the runtimes of Optimum Intel share: the library itself."""

from __future__ import annotations

from typing import ClassVar

from harness.errors import Unavailable
from harness.libraries import import_torchvision
from harness.runtimes.base import Runtime
from harness.runtimes.openvino_common import devices


class OptimumRuntime(Runtime):
    """OpenVINO networks behind transformers' interface."""

    title = "Optimum Intel"
    devices = frozenset({"cpu", "gpu"})
    distributions = ("optimum-intel",)
    profiles: ClassVar[bool] = False

    @classmethod
    def reach(cls) -> str:
        import_torchvision()
        import optimum.intel  # noqa: F401 - a broken installation shows here

        return devices()

    def start(self) -> None:
        try:
            import_torchvision()
            import optimum.intel  # noqa: F401 - its memory and import time are not the artifact's
        except ImportError as error:
            raise Unavailable(f"optimum-intel can't be imported: {error}", "pip install optimum-intel") from error
