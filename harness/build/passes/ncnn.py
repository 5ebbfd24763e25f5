"""Converts an ONNX file for ncnn, by pnnx."""

from __future__ import annotations

import os
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from harness.build.passes.base import Pass, PassContext
from harness.core.errors import KpiError
from harness.core.libraries import require
from harness.core.ncnn import DISTRIBUTION, read_param
from harness.core.registry import options_table
from harness.workloads.base import TensorSpec
from harness.workloads.files.signature import read_signature

_TYPES = {"float32": "f32", "float16": "f16", "float64": "f64", "int64": "i64", "int32": "i32", "int8": "i8"}
_WAIT_S = 1800.0
_TOLD = 300


class Ncnn(Pass):
    """pnnx; inputs and outputs are named as the workload names them. What it writes takes one sample at a time."""

    name = "ncnn"
    title = "conversion to ncnn"
    effort = 10.0
    input_formats = frozenset({"onnx"})
    output_format = "ncnn"
    requires = ("pnnx", DISTRIBUTION)

    @options_table
    class Options:
        """``weights``: how they are stored; in half precision the file is half as large."""

        weights: Literal["fp32", "fp16"] = "fp32"

    @property
    def tolerance(self) -> float | None:
        return 1e-3 if self.options.weights == "fp32" else None

    def run(self, job: PassContext) -> dict[str, Any]:
        if job.tensors.state:
            raise KpiError("a model that keeps state can't be converted to ncnn yet", "leave this recipe out")
        # What it writes lies next to what it reads, which may have weights in files of their own.
        shutil.copytree(job.input("."), job.scratch, dirs_exist_ok=True)
        source = job.scratch / "model.onnx"
        found, specs = read_signature(source), {spec.name: spec for spec in job.tensors.inputs}
        inputs, outputs = ([port.name for port in ports] for ports in (found.inputs, found.outputs))
        job.progress("converting")
        log = _convert(source, [specs[name] for name in inputs], half=self.options.weights == "fp16")
        made = source.with_suffix(".ncnn.param")
        if not made.exists() or not made.with_suffix(".bin").exists():
            raise KpiError(f"pnnx wrote no model of ncnn: {log}", "look at what the network computes with")
        _name(made, job.out / "model.param", inputs, outputs)
        (job.out / "model.bin").write_bytes(made.with_suffix(".bin").read_bytes())
        return {}


def _convert(source: Path, inputs: list[TensorSpec], *, half: bool) -> str:
    """What the program said last. Raises KpiError where it ended with an error."""
    require("ncnn", DISTRIBUTION)
    found = find_spec("pnnx")
    if found is None or found.origin is None:
        raise KpiError("pnnx is not here", "pip install pnnx")
    program = Path(found.origin).parent / ("pnnx.exe" if os.name == "nt" else "pnnx")
    shapes = ",".join(f"[{','.join(map(str, (1, *spec.shape)))}]{_TYPES.get(spec.dtype, '')}" for spec in inputs)
    command = [str(program), source.name, f"inputshape={shapes}", f"fp16={int(half)}"]
    done = subprocess.run(command, cwd=source.parent, capture_output=True, text=True, timeout=_WAIT_S, check=False)
    lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    said = " | ".join(lines[-3:])[-_TOLD:]
    if done.returncode:
        raise KpiError(f"pnnx ended with {done.returncode}: {said}", "look at what the network computes with")
    return said


def _name(source: Path, file: Path, inputs: list[str], outputs: list[str]) -> None:
    """Writes the text with the workload's names in place of in0, out0 and so on."""
    graph = read_param(source)
    found = [layer.outputs[0] for layer in graph.inputs]
    numbered = {
        "inputs": (sorted(found, key=_number), inputs),
        "outputs": (sorted(graph.outputs, key=_number), outputs),
    }
    new: dict[str, str] = {}
    for key, (made, wanted) in numbered.items():
        if len(made) != len(wanted):
            raise KpiError(f"pnnx wrote the {key} {', '.join(made)} where {', '.join(wanted)} were to be")
        new |= dict(zip(made, wanted, strict=True))
    if bad := [name for name in new.values() if not name or any(sign.isspace() or sign == "=" for sign in name)]:
        raise KpiError(f"ncnn can't call an input or output {bad[0]!r}", "give it a name without spaces and =")
    # What lies between is numbered; a name may be such a number.
    between = {name for layer in graph.layers for name in layer.outputs} - new.keys()
    new |= {name: f"{name}_between" for name in between & set(new.values())}
    lines = [line.split() for line in source.read_text(encoding="utf-8").splitlines()]
    for words in lines[2:]:
        count = 4 + int(words[2]) + int(words[3])
        words[4:count] = [new.get(word, word) for word in words[4:count]]
    file.write_text("".join(f"{' '.join(words)}\n" for words in lines), encoding="utf-8")


def _number(name: str) -> tuple[int, str]:
    digits = "".join(sign for sign in name if sign.isdigit())
    return int(digits or 0), name
