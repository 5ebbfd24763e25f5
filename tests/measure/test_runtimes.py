"""Runtimes against files that are damaged and devices that are not there."""

from __future__ import annotations

from pathlib import Path

import onnxruntime
import pytest

from harness.core.errors import KpiError, Unavailable
from harness.measure.runtimes import runtimes
from harness.measure.runtimes.onnxruntime import OnnxRuntime


@pytest.mark.parametrize(
    ("name", "file"), [("onnxruntime", "model.onnx"), ("openvino", "model.onnx"), ("openvino", "model.xml")]
)
def test_a_truncated_file_is_one_line(tmp_path: Path, name: str, file: str) -> None:
    (tmp_path / file).write_bytes(b"\x08\x0a\x12\x07 cut off")
    cls = runtimes()[name]
    runtime = cls(cls.Options())
    runtime.import_library()
    with pytest.raises(KpiError, match="can't load the artifact") as caught:
        runtime.load(tmp_path, "cpu", 1, profile=False)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("name", "device"), [("openvino", "npu"), ("onnxruntime", "npu"), ("torch", "gpu")])
def test_a_device_that_is_not_there_is_unavailable(tmp_path: Path, name: str, device: str) -> None:
    cls = runtimes()[name]
    runtime = cls(cls.Options())
    runtime.import_library()
    with pytest.raises(Unavailable) as caught:
        runtime.load(tmp_path, device, 1, profile=False)
    assert caught.value.remedy


def test_a_provider_that_this_build_lacks_is_unavailable(tmp_path: Path) -> None:
    cls = runtimes()["onnxruntime"]
    runtime = cls(cls.Options(provider="TensorRT"))
    with pytest.raises(Unavailable, match="has no TensorrtExecutionProvider") as caught:
        runtime.load(tmp_path, "gpu", 1, profile=False)
    assert "onnxruntime-gpu" in caught.value.remedy


@pytest.mark.parametrize(("spinning", "timed"), [(True, False), (False, True), (False, False)])
def test_threads_wait_without_spinning_where_nothing_is_timed(*, spinning: bool, timed: bool) -> None:
    runtime = OnnxRuntime(OnnxRuntime.Options(spinning=spinning), timed=timed)
    settings = runtime._settings(onnxruntime, {"batch": 1}, alone=False)
    assert settings.get_session_config_entry("session.intra_op.allow_spinning") == "0"


def test_what_is_timed_keeps_the_threads_of_the_library() -> None:
    settings = OnnxRuntime(OnnxRuntime.Options())._settings(onnxruntime, {"batch": 1}, alone=False)
    with pytest.raises(RuntimeError, match="does not have configuration"):
        settings.get_session_config_entry("session.intra_op.allow_spinning")
