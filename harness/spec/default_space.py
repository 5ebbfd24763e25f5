"""Recipes that ``kpi search`` tries for models of tensors where a workload names none."""

from __future__ import annotations

from typing import Any


def threads(cores: int) -> dict[str, Any]:
    """All cores, half of them, one."""
    return {"choice": sorted({1, max(1, cores // 2), cores}, reverse=True), "optional": True}


def tensor_space(cores: int, **nncf_options: Any) -> dict[str, Any]:
    """ONNX Runtime and OpenVINO, in floating point and in INT8; ``nncf_options`` are given to each pass "nncf"."""
    batches = {"batch": {"choice": [8, 16, 32, 64]}, "asynchronous": True}
    nncf = {
        "pass": "nncf",
        "calibration": {"choice": [128, 300]},
        "preset": {"choice": ["mixed", "performance"]},
        **nncf_options,
    }
    offline = {**batches, "runtime": {"hint": {"choice": ["throughput", "latency"]}}}
    return {
        "openvino": {
            "runtime": {"name": "openvino", "precision": {"choice": ["f32", "bf16"]}, "threads": threads(cores)},
            "passes": ["onnx", "openvino", {"choice": [[nncf], []]}],
            "scenario": {"offline": offline},
        },
        "onnxruntime": {
            "runtime": {"name": "onnxruntime", "threads": threads(cores)},
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
