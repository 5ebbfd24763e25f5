"""Servers in front of a healthy artifact."""

from __future__ import annotations

from zoo.fault import Fault


def behind(fault: str) -> str:
    """A recipe whose server has one fault; see tests/support/faulty_server.py."""
    command = (
        f'["env", "FAULT={fault}", "{{python}}", "-m", "tests.support.faulty_server", "--artifact", "{{artifact}}", '
        '"--http-port", "{http_port}", "--grpc-port", "{grpc_port}"]'
    )
    return f'runtime = {{ name = "kserve", protocol = "grpc", command = {command} }}\npasses = ["onnx", "openvino"]'


def fault(name: str, what: str, said: str) -> Fault:
    return Fault(what, said, recipe=behind(""), broken_recipe=behind(name))


FAULTS = {
    "server-with-a-stale-cache": fault("last", "each request gets the answer of the one before", "asked again"),
    "server-that-keeps-state": fault("state", "each answer is mixed with those before", "asked again"),
    "server-with-noise": fault("noise", "answers are disturbed at random", "asked again"),
    "server-that-swaps-rows": fault("rows", "rows of a batch come back in reverse order", "place in the batch"),
    "server-that-overflows-at-times": fault(
        "huge-at-times", "some answers are beyond single precision", "NaN or infinity"
    ),
    "server-that-cuts-the-batch": fault("shape", "it answers the first sample of a batch alone", "shape"),
    "server-that-answers-integers": fault("small-integers", "it rounds to integers", "expected floating point"),
}
