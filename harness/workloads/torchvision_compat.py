"""Imports torchvision, also next to a torch build that its native library does not match."""

from __future__ import annotations

from typing import Any

_LIBRARIES: list[Any] = []  # torch forgets the declarations once their library object dies


def import_torchvision() -> Any:
    """Imports torchvision, also next to a torch build that its native library does not match.

    The wheel of the package index is a CUDA build.  Next to a CPU torch its operators stay
    undeclared and the import stops at `torchvision::nms`; declaring the two schemas first is enough,
    for no operator of the library is called here.
    """
    import torch

    if not _LIBRARIES and not _native_library_loads():
        library = torch.library.Library("torchvision", "FRAGMENT")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _LIBRARIES.append(library)
    import torchvision

    return torchvision


def before_transformers() -> None:
    """To be called before transformers is imported, which looks at torchvision where it is installed."""
    import importlib.util

    if importlib.util.find_spec("torchvision") is not None:
        import_torchvision()


def _native_library_loads() -> bool:
    import importlib.util
    from pathlib import Path

    import torch

    spec = importlib.util.find_spec("torchvision")  # finds the package without running it
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("torchvision is not installed")
    names = sorted(path for path in Path(spec.origin).parent.glob("_C*") if path.suffix in {".so", ".pyd", ".dylib"})
    try:
        for path in names:
            torch.ops.load_library(str(path))
    except OSError:
        return False
    return bool(names)
