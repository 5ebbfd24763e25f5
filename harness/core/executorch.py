"""A ``.pte`` file in a runtime of ExecuTorch, asked by name: what a pass compares and a process measures."""

from __future__ import annotations

import importlib
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from harness.core.errors import KpiError, Unavailable, reason
from harness.core.libraries import version_of
from harness.core.pte import read_pte

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Arrays = Mapping[str, npt.NDArray[np.generic]]

OWN, PLAIN = "executorch", "executorch-numpy-runtime"
"""The distributions: ExecuTorch itself, whose runtime imports torch, and one for NumPy that needs nothing else."""
BUILDING = "executorch"
"""The environment in which networks are exported; its runtime runs files too."""
_HERE = sys.version_info >= (3, 12) and platform.machine() in {"x86_64", "aarch64"} and sys.platform == "linux"
RUNNING = PLAIN if _HERE else BUILDING
"""The environment in which files are run: the small one, where there are wheels for it."""


def library() -> str:
    """The distribution that runs files here. Raises Unavailable where there is none."""
    for name in (PLAIN, OWN):
        if version_of(name) is not None:
            return name
    raise Unavailable(
        "no runtime of ExecuTorch is installed here",
        f'kpi env create {RUNNING}, and environment = "{RUNNING}" in the recipe',
    )


def import_library() -> None:
    """Imports what runs files here, so that its time and memory are not the artifact's."""
    try:
        importlib.import_module("executorch_numpy_runtime" if library() == PLAIN else "executorch.runtime")
    except ImportError as error:
        raise Unavailable(f"ExecuTorch can't be imported: {reason(error)}", f"kpi env create {RUNNING}") from error


class PteModel:
    """The method of a file, loaded; not for several threads at once.

    Raises Unavailable without a runtime, KpiError, with the reason, for what is not such a file or can't be loaded.
    """

    def __init__(self, file: Path, *, threads: int | None = None) -> None:
        self.pte = read_pte(file)
        self.file, self.library = file, library()
        import_library()
        if threads and self.library == OWN:
            _set_threads(threads)
        try:
            self._call = (_plain if self.library == PLAIN else _own)(file, self.pte.method)
        except Exception as error:
            raise KpiError(f"{file.name} can't be loaded: {reason(error)}", cannot_run(error)) from error

    @property
    def threads(self) -> int | None:
        """How many threads its operators use; None where that is not known."""
        return _threads() if self.library == OWN else _Pool.threads

    def run(self, feeds: Arrays) -> dict[str, npt.NDArray[np.generic]]:
        """Runs one batch; raises ValueError for a size that the file does not take, else what the library raises."""
        import numpy as np

        given = []
        for port in self.pte.inputs:
            array = np.ascontiguousarray(feeds[port.name])
            if len(array.shape) != len(port.shape) or any(
                size not in (None, own) for size, own in zip(port.shape, array.shape, strict=True)
            ):
                raise ValueError(f"{port.name} takes the shape {port.shape}, not {array.shape}")
            given.append(array)
        return dict(zip((port.name for port in self.pte.outputs), self._call(given), strict=True))


def _plain(file: Path, method: str) -> Callable[[Sequence[Any]], Sequence[Any]]:
    import numpy as np
    from executorch_numpy_runtime import Runtime

    loaded = Runtime.get().load_program(str(file)).load_method(method)

    def call(given: Sequence[Any]) -> Sequence[Any]:
        with _Pool():
            return [np.asarray(one) for one in loaded(list(given))]

    return call


class _Pool:
    """Counts the threads that the first request of a process begins: the runtime for NumPy does not say how many."""

    threads: ClassVar[int | None] = None

    def __enter__(self) -> None:
        self._before = _tasks() if _Pool.threads is None else 0

    def __exit__(self, *_: object) -> None:
        if self._before:
            # The one that asks works too.
            _Pool.threads = _tasks() - self._before + 1


def _tasks() -> int:
    """How many threads this process has; 0 where the system does not say."""
    folder = Path("/proc/self/task")
    return len(list(folder.iterdir())) if folder.is_dir() else 0


def _own(file: Path, method: str) -> Callable[[Sequence[Any]], Sequence[Any]]:
    import torch
    from executorch.runtime import Runtime

    program = Runtime.get().load_program(file)
    loaded = program.load_method(method)
    if loaded is None:
        raise KpiError(f"there is no method {method}")
    return lambda given: [one.numpy() for one in loaded.execute([torch.from_numpy(one) for one in given])]


def _threads() -> int:
    from executorch.extension.pybindings.portable_lib import _threadpool_get_thread_count

    return int(_threadpool_get_thread_count())


def _set_threads(count: int) -> None:
    from executorch.extension.pybindings.portable_lib import _unsafe_reset_threadpool

    _unsafe_reset_threadpool(count)


def cannot_run(error: Exception) -> str:
    """What to do where a runtime can't load a file; empty where that is not known."""
    said = str(error).lower()
    if "operator" in said and "missing" in said:
        return "export it for XNNPACK, or without operators of its own"
    if "backend" in said:
        return "export it for XNNPACK, the only backend that these runtimes have"
    return ""


def environment() -> str | None:
    """Where files are run: None where a runtime is installed here."""
    return None if any(map(version_of, (PLAIN, OWN))) else RUNNING
