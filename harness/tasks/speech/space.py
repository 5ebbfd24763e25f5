"""Recipes that ``kpi search`` tries for speech recognizers where a workload names none."""

from __future__ import annotations

from typing import Any


def speech_space(_: int) -> dict[str, Any]:
    """Whisper on two runtimes, with weights in floating point and in INT8."""
    weights = {"choice": [[{"pass": "whisper-weights", "sym": {"choice": [False, True]}}], []]}
    runtimes = {"choice": ["openvino-genai-speech", "optimum-intel-speech"]}
    return {
        "whisper": {
            "runtime": {"name": runtimes},
            "passes": [{"pass": "optimum-whisper", "weights": {"choice": ["fp32", "fp16"]}}, weights],
        }
    }
