"""Integer arithmetic of one class of processor proves nothing of another; floating point gates everywhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from harness.evidence.merge import merge
from harness.evidence.model import Evidence, TargetLine
from harness.evidence.reader import read_evidence
from harness.judge.replay import recheck
from harness.judge.verdict import Verdict
from harness.measure.machine.detect import arm_core, detect, other_processor, processor_class
from harness.spec.model import Machine, Spec
from tests.support.project import Project, make_project

ARM = '\n[machine.edge]\ndevice = "edge"\ncpu = "*Cortex-A76*"\n'
KPI = """
[[kpi]]
name = "{name}"
workload = "stripes"
recipe = "{recipe}"
machine = "edge"
targets = {{ {targets} }}
"""
VNNI = ("avx2", "avx512f", "avx512_vnni")


@pytest.mark.parametrize(
    ("arch", "instructions", "said"),
    [
        ("x86_64", ("avx2", "avx512f"), "x86-64 without VNNI"),
        ("x86_64", VNNI, "x86-64 with VNNI"),
        ("AMD64", ("avx2", "avx_vnni"), "x86-64 with VNNI"),
        ("x86_64", (*VNNI, "amx_tile", "amx_int8"), "x86-64 with VNNI and AMX"),
        ("x86_64", (*VNNI, "amx_tile", "amx_bf16"), "x86-64 with VNNI"),
        ("aarch64", ("asimd", "asimddp"), "AArch64 with dot product"),
        ("arm64", ("asimd",), "AArch64 without dot product"),
        ("AMD64", (), "x86-64 (its instructions are not known)"),
    ],
)
def test_what_multiplies_bytes_names_the_class(arch: str, instructions: tuple[str, ...], said: str) -> None:
    assert processor_class(arch, instructions) == said
    here = replace(detect(), arch=arch, instructions=instructions)
    assert here.processor_class == said


@pytest.mark.parametrize(
    ("wanted", "named"),
    [
        (Machine("any", "cpu"), ""),
        (Machine("here", "cpu", cpu="*"), ""),
        (Machine("large", "cpu", cores=None, os="Plan 9"), ""),  # not another processor
        (Machine("edge", "edge", cpu="*Cortex-A76*"), "Cortex-A76"),
        (Machine("arm", "cpu", arch="riscv*"), "riscv"),
        (Machine("gpu", "gpu", gpu="NVIDIA A100*", cpu="nobody's"), "NVIDIA A100"),
    ],
)
def test_which_processor_was_promised_where_it_is_not_this_one(wanted: Machine, named: str) -> None:
    assert other_processor(wanted, replace(detect(), gpus=("NVIDIA H100",))) == named


@pytest.mark.parametrize(
    ("old", "new", "integer"),
    [
        ("", "", True),
        ('"openvino", { pass = "nncf", calibration = 8 }', '{ pass = "openvino", weights = "fp16" }', False),
        ('"openvino", { pass = "nncf", calibration = 8 }', '"onnx-dynamic-int8", "openvino"', True),
    ],
)
def test_passes_say_whether_integers_compute(
    read: Callable[[str], Spec], edit: Callable[..., str], old: str, new: str, *, integer: bool
) -> None:
    spec = read(edit((old, new)))
    assert spec.computes_with_integers(spec.recipe("tiny", "int8")) is integer
    assert not spec.computes_with_integers(spec.recipe("tiny", "fp32"))


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory, shared_store: Path) -> Evidence:
    """A run on this machine of KPIs that were written for an Arm board."""
    project: Project = make_project(tmp_path_factory.mktemp("board"), shared_store)
    drop = '"accuracy.top1" = "drop <= 3 pp vs fp32", "size" = "< 20 kB"'
    plain = '"accuracy.top1" = ">= 50 %", "size" = "< 1 MB"'
    with project.toml.open("a", encoding="utf-8") as file:
        file.write(ARM + KPI.format(name="board", recipe="int8", targets=drop))
        file.write(KPI.format(name="board-fp32", recipe="fp32", targets=plain))
    done = project.pytest("-m", "accuracy or size")
    assert done.returncode == 0, done.stdout
    return read_evidence(project.folder / ".kpi/latest/evidence.json", None)[0]


def target(evidence: Evidence, kpi: str, metric: str) -> TargetLine:
    return next(t for t in evidence.targets if t.kpi == kpi and t.metric == metric)


@pytest.mark.suite
def test_integers_of_another_processor_are_off_target(evidence: Evidence) -> None:
    found = target(evidence, "board", "accuracy.top1")
    assert found.verdict == "OFF_TARGET"
    assert found.reason.startswith(
        f"integer arithmetic of {detect().processor_class} says nothing of the promised processor Cortex-A76"
    )
    assert target(evidence, "board", "size").verdict == "PASS"
    assert target(evidence, "board-fp32", "accuracy.top1").verdict == "PASS"
    # Where the table names no processor, what runs the suite counts, and the evidence says what that was.
    assert target(evidence, "stripes-int8", "accuracy.top1").verdict == "PASS"
    assert evidence.processor_class == detect().processor_class


@pytest.mark.suite
def test_a_forged_verdict_on_another_processor_is_noticed(evidence: Evidence) -> None:
    assert not list(recheck(target(evidence, "board", "accuracy.top1"), evidence, None))
    other = replace(target(evidence, "stripes-int8", "accuracy.top1"), verdict=Verdict.OFF_TARGET)
    assert any("on a processor that was promised" in line for line in recheck(other, evidence, None))


@pytest.mark.suite
def test_merging_demands_the_promised_processor(evidence: Evidence) -> None:
    here = ("here.json", (evidence, ""))
    problems = merge(dict([here])).problems
    assert any("board:top1" in line and "not proven (OFF_TARGET: integer arithmetic" in line for line in problems)
    there = replace(
        evidence,
        machine=replace(evidence.machine, arch="aarch64", instructions=("asimd", "asimddp")),
        targets=[
            replace(t, verdict=Verdict.PASS) if (t.kpi, t.metric) == ("board", "accuracy.top1") else t
            for t in evidence.targets
        ],
    )
    problems = merge(dict([here, ("there.json", (there, ""))])).problems
    assert not any("board:top1" in line for line in problems)
    disproved = target(evidence, "stripes-int8", "accuracy.top1").id
    targets = [replace(t, verdict=Verdict.FAIL) if t.id == disproved else t for t in there.targets]
    there = replace(there, targets=targets)
    problems = merge(dict([here, ("there.json", (there, ""))])).problems
    (said,) = (line for line in problems if "machines disagree" in line)
    assert "FAIL in there.json (AArch64 with dot product)" in said


@pytest.mark.parametrize(
    ("parts", "named"),
    [
        (["0xd0b"] * 4, "Cortex-A76"),
        (["0xd05"] * 4 + ["0xd41"] * 3 + ["0xd44"], "Cortex-X1"),
        (["0xd80"] * 2 + ["0xd81"] * 5 + ["0xd82"], "Cortex-X4"),
        (["0xfff"], "0xfff"),
        ([], ""),
    ],
)
def test_arm_cores_have_names_and_the_big_ones_of_a_phone_count(parts: list[str], named: str) -> None:
    lines = (f"processor\t: {n}\nCPU implementer\t: 0x41\nCPU part\t: {part}\n" for n, part in enumerate(parts))
    assert arm_core("\n".join(lines)) == named
