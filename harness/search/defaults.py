"""The space of a workload that names none: what its task's recipes usually vary, as far as this machine's cores go."""

from __future__ import annotations

from typing import Any

from harness.spec.model import WorkloadSpec
from harness.spec.tasks import LANGUAGE, QUESTIONS, SPEECH, TENSORS


def default_space(workload: WorkloadSpec, cores: int) -> dict[str, Any]:
    """Templates by name, as they could stand in ``[workload.NAME.search]``; none for a task without passes."""
    if workload.task in TENSORS:
        return _tensors(cores, transformer=workload.task in QUESTIONS)
    if workload.task in LANGUAGE:
        return _language(cores)
    if workload.task in SPEECH:
        return _speech()
    return {}


def _threads(cores: int) -> dict[str, Any]:
    """All cores, half of them, one."""
    return {"choice": sorted({1, max(1, cores // 2), cores}, reverse=True), "optional": True}


def _tensors(cores: int, *, transformer: bool) -> dict[str, Any]:
    batches = {"batch": {"choice": [8, 16, 32, 64]}, "asynchronous": True}
    kind = {"model_type": "transformer"} if transformer else {}
    nncf = {
        "pass": "nncf",
        "calibration": {"choice": [128, 300]},
        "preset": {"choice": ["mixed", "performance"]},
        **kind,
    }
    offline = {**batches, "runtime": {"hint": {"choice": ["throughput", "latency"]}}}
    return {
        "openvino": {
            "runtime": {"name": "openvino", "precision": {"choice": ["f32", "bf16"]}, "threads": _threads(cores)},
            "passes": ["onnx", "openvino", {"choice": [[nncf], []]}],
            "scenario": {"offline": offline},
        },
        "onnxruntime": {
            "runtime": {"name": "onnxruntime", "threads": _threads(cores)},
            "passes": [
                "onnx",
                {
                    "pass": "onnx-static-int8",
                    "format": {"choice": ["qdq", "qoperator"]},
                    "method": {"choice": ["minmax", "entropy"]},
                    "per_channel": {"choice": [True, False]},
                },
            ],
            "scenario": {"offline": {"batch": {"choice": [8, 32]}}},
        },
    }


def _language(cores: int) -> dict[str, Any]:
    int4 = {
        "pass": "openvino-weights",
        "mode": "int4",
        "group_size": {"choice": [32, 64, 128]},
        "ratio": {"choice": [1.0, 0.8]},
        "scale_estimation": {"choice": [False, True]},
    }
    return {
        "openvino-genai": {
            "runtime": {
                "name": "openvino-genai",
                "precision": {"choice": ["f32", "bf16"]},
                "kv_cache": {"choice": ["device", "u8"]},
                "threads": _threads(cores),
            },
            "passes": [
                {"pass": "optimum-openvino", "weights": "fp32"},
                {"choice": [{"pass": "openvino-weights", "mode": "int8"}, int4]},
            ],
        }
    }


def _speech() -> dict[str, Any]:
    weights = {"choice": [[{"pass": "whisper-weights", "sym": {"choice": [False, True]}}], []]}
    runtimes = {"choice": ["openvino-genai-speech", "optimum-intel-speech"]}
    return {
        "whisper": {
            "runtime": {"name": runtimes},
            "passes": [{"pass": "optimum-whisper", "weights": {"choice": ["fp32", "fp16"]}}, weights],
        }
    }
