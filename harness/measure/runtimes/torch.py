"""PyTorch, eager or compiled, on the CPU or on an NVIDIA GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from harness.build.artifact import read_artifact
from harness.core.errors import KpiError, Unavailable, reason
from harness.core.libraries import require
from harness.core.registry import check_counts, options_table
from harness.measure.records import Proof
from harness.measure.runtimes.base import Runtime, Session, TensorSession

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from harness.measure.runtimes.base import Arrays

_IN_FLIGHT = 3


class TorchRuntime(Runtime):
    """A program saved by ``torch.export``; on a GPU with channels-last, half precision and CUDA graphs where asked."""

    name = "torch"
    title = "PyTorch"
    formats = frozenset({"torch"})
    devices = frozenset({"cpu", "gpu"})
    distributions = ("torch",)

    @options_table
    class Options:
        """How the program is run.

        ``mode``: eager or ``torch.compile``; ``precision`` of weights and arithmetic; ``channels_last``;
        ``cuda_graphs``: capture once for each batch size, then replay; ``threads``: of one operator on the CPU.
        """

        mode: Literal["eager", "compile"] = "eager"
        precision: Literal["fp32", "fp16", "bf16"] = "fp32"
        channels_last: bool = False
        cuda_graphs: bool = False
        threads: int | None = None

        def __post_init__(self) -> None:
            check_counts(threads=self.threads)

    @classmethod
    def available_devices(cls) -> str:
        import torch

        return f"CUDA {'available' if torch.cuda.is_available() else 'not available'}"

    def import_library(self) -> None:
        require("torch")  # its memory and import time are not the artifact's

    def load(self, artifact: Path, device: str, batch: int | None, *, profile: bool) -> Session:
        import torch

        del profile  # its operators are all floating-point, and none is looked at one by one
        del batch  # the program's batch axis is dynamic; a CUDA graph is captured for each size that comes
        if device == "gpu" and not torch.cuda.is_available():
            raise Unavailable("PyTorch finds no CUDA device", "install a CUDA build of torch and the NVIDIA driver")
        if self.options.cuda_graphs and device != "gpu":
            raise KpiError("cuda_graphs needs a GPU", "give the CPU a recipe without it")
        if self.options.threads and device == "cpu":
            torch.set_num_threads(self.options.threads)
        notes = read_artifact(artifact).notes["step"]["notes"]
        target = torch.device("cuda" if device == "gpu" else "cpu")
        try:
            model = torch.export.load(str(artifact / "model.pt2")).module()
        except Exception as error:
            raise KpiError(f"PyTorch can't load the artifact: {reason(error)}") from error
        kind = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[self.options.precision]
        model = model.to(device=target, dtype=kind)
        if self.options.channels_last:
            model = model.to(memory_format=torch.channels_last)
        if target.type == "cuda":
            torch.backends.cudnn.benchmark = True
        call: Callable[..., Any] = model
        if self.options.mode == "compile":
            call = torch.compile(model, dynamic=False)
        return _TorchSession(call, target, kind, notes["inputs"], notes["outputs"], self.options)


class _TorchSession(TensorSession):
    def __init__(
        self,
        call: Callable[..., Any],
        device: Any,
        kind: Any,
        inputs: Sequence[str],
        outputs: Sequence[str],
        chosen: Any,
    ) -> None:
        self._call = call
        self._device, self._kind, self._chosen = device, kind, chosen
        self._inputs, self._outputs = inputs, outputs
        self._graphs: dict[tuple[tuple[int, ...], ...], _Slots] = {}
        self._ran_on = str(device)

    def run(self, feeds: Arrays) -> dict[str, npt.NDArray[np.generic]]:
        import torch

        with torch.inference_mode():
            if self._chosen.cuda_graphs:
                slot = self._slots(feeds).take()
                slot.launch(self._host(feeds))
                return dict(zip(self._outputs, slot.wait(), strict=True))
            answer = self._forward([self._move(tensor) for tensor in self._host(feeds)])
            self._ran_on = str(answer[0].device)
            # Copying to the host waits for the device.
            return {n: t.float().cpu().numpy() for n, t in zip(self._outputs, answer, strict=True)}

    @property
    def requests(self) -> int:
        return _IN_FLIGHT if self._chosen.cuda_graphs else 1

    def run_all(self, batches: Iterable[Arrays]) -> None:
        import torch

        if not self._chosen.cuda_graphs:
            super().run_all(batches)
            return
        waiting: list[_Slot] = []
        with torch.inference_mode():
            for feeds in batches:
                slot = self._slots(feeds).take()
                if slot in waiting:
                    waiting.remove(slot)
                    slot.wait()
                slot.launch(self._host(feeds))
                waiting.append(slot)
            for slot in waiting:
                slot.wait()

    def _host(self, feeds: Arrays) -> list[Any]:
        import torch

        return [torch.from_numpy(feeds[name]) for name in self._inputs]

    def _move(self, tensor: Any) -> Any:
        import torch

        moved = tensor.to(self._device, self._kind if tensor.is_floating_point() else tensor.dtype)
        layout = self._chosen.channels_last and moved.dim() == 4  # noqa: PLR2004 - an image batch
        return moved.to(memory_format=torch.channels_last) if layout else moved

    def _forward(self, tensors: Sequence[Any]) -> tuple[Any, ...]:
        answer = self._call(*tensors)
        return answer if isinstance(answer, tuple) else (answer,)

    def _slots(self, feeds: Arrays) -> _Slots:
        shapes = tuple(feeds[name].shape for name in self._inputs)
        if shapes not in self._graphs:
            example = [self._move(tensor) for tensor in self._host(feeds)]
            self._ran_on = str(example[0].device)
            self._graphs[shapes] = _Slots([_Slot(self._forward, example) for _ in range(_IN_FLIGHT)])
        return self._graphs[shapes]

    def proof(self) -> Proof:
        import torch

        if not self._ran_on.startswith(self._device.type):
            raise KpiError(f"asked for {self._device.type}, PyTorch ran on {self._ran_on}")
        name = torch.cuda.get_device_name() if self._device.type == "cuda" else self._ran_on
        return Proof(
            runtime="torch",
            version=torch.__version__,
            device=name,
            precision=self._chosen.precision,
            threads=torch.get_num_threads() if self._device.type == "cpu" else None,
            details={"mode": self._chosen.mode, "cuda_graphs": self._chosen.cuda_graphs},
        )


class _Slots:
    """A ring of captured graphs of one shape, each with buffers of its own."""

    def __init__(self, slots: list[_Slot]) -> None:
        self._slots = slots
        self._next = 0

    def take(self) -> _Slot:
        slot = self._slots[self._next]
        self._next = (self._next + 1) % len(self._slots)
        return slot


class _Slot:
    """One captured CUDA graph on a stream of its own: copy in, replay, copy out."""

    def __init__(self, forward: Callable[[Sequence[Any]], tuple[Any, ...]], example: Sequence[Any]) -> None:
        import torch

        self._stream = torch.cuda.Stream()
        self._stream.wait_stream(torch.cuda.current_stream())
        self._inputs = [tensor.clone() for tensor in example]
        self._pinned = [
            torch.empty(t.shape, dtype=torch.float32 if t.is_floating_point() else t.dtype).pin_memory()
            for t in example
        ]
        self._staged = [tensor.to(self._inputs[0].device) for tensor in self._pinned]
        with torch.cuda.stream(self._stream):
            for _ in range(3):
                forward(self._inputs)
        self._stream.synchronize()
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph, stream=self._stream):
            # Conversion and layout belong to the graph: the host gives float32, sample by sample.
            for buffer, staged in zip(self._inputs, self._staged, strict=True):
                buffer.copy_(staged)
            self._answer = [tensor.float() for tensor in forward(self._inputs)]
        self._out = [torch.empty(t.shape, dtype=t.dtype).pin_memory() for t in self._answer]
        self._stream.synchronize()

    def launch(self, tensors: Sequence[Any]) -> None:
        import torch

        for pinned, tensor in zip(self._pinned, tensors, strict=True):
            pinned.copy_(tensor)
        with torch.cuda.stream(self._stream):
            for staged, pinned in zip(self._staged, self._pinned, strict=True):
                staged.copy_(pinned, non_blocking=True)
            self._graph.replay()
            for out, answer in zip(self._out, self._answer, strict=True):
                out.copy_(answer, non_blocking=True)

    def wait(self) -> list[npt.NDArray[np.generic]]:
        self._stream.synchronize()
        return [tensor.numpy().copy() for tensor in self._out]
