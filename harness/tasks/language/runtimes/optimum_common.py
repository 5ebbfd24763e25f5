"""What the runtimes of Optimum Intel share: the library itself, without what only exports and quantizers need."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from harness.core.errors import Unavailable
from harness.measure.runtimes.base import Runtime
from harness.measure.runtimes.openvino_common import devices

_UNUSED = ("nncf", "sklearn", "torchvision", "datasets", "pandas", "scipy", "accelerate")
"""Found, they are imported, for seconds; absent, as with an installation for inference alone, nothing misses them."""


class OptimumRuntime(Runtime):
    """OpenVINO networks behind transformers' interface; ``classes`` are the names in each library that are used."""

    title = "Optimum Intel"
    devices = frozenset({"cpu", "gpu"})
    distributions = ("optimum-intel",)
    profiles: ClassVar[bool] = False
    classes: ClassVar[tuple[str, str]]

    @classmethod
    def available_devices(cls) -> str:
        with without(*_UNUSED):
            import optimum.intel  # noqa: F401 - a broken installation shows here

        return devices()

    def import_library(self) -> None:
        try:
            self.imported()  # its memory and import time are not the artifact's
        except ImportError as error:
            raise Unavailable(f"optimum-intel can't be imported: {error}", "pip install optimum-intel") from error

    @classmethod
    def imported(cls) -> tuple[Any, Any]:
        """The class of the model, and the class of transformers that goes with it."""
        with without(*_UNUSED):
            import optimum.intel
            import transformers

            # Both import lazily, by attribute.
            return getattr(optimum.intel, cls.classes[0]), getattr(transformers, cls.classes[1])


@contextmanager
def without(*names: str) -> Iterator[None]:
    """Makes installed packages look absent to whatever is imported meanwhile; those imported before stay."""
    hidden = [name for name in names if name not in sys.modules]
    modules: dict[str, Any] = sys.modules
    modules.update(dict.fromkeys(hidden))  # None is how Python says that something can't be imported
    try:
        yield
    finally:
        for name in hidden:
            modules.pop(name, None)
