"""Recipes that ``kpi search`` tries for language models where a workload names none."""

from __future__ import annotations

from typing import Any

from harness.spec.default_space import threads


def language_space(cores: int) -> dict[str, Any]:
    """OpenVINO GenAI with weights in INT8 and INT4."""
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
                "threads": threads(cores),
            },
            "passes": [
                {"pass": "optimum-openvino", "weights": "fp32"},
                {"choice": [{"pass": "openvino-weights", "mode": "int8"}, int4]},
            ],
        }
    }
