"""The gate's own code.

What is named here is the public API: all that a plug-in or a fixture may import.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from harness.build.artifact import Artifact
    from harness.build.passes.base import Pass, PassContext, Quantizer
    from harness.core.errors import KpiError, Unavailable
    from harness.core.formats import REFERENCE
    from harness.core.registry import NoOptions, check_counts, options_table
    from harness.core.units import BYTES, COUNT, ENERGY, NUMBER, SHARE, TIME, Dimension
    from harness.evidence.releases.base import ReleasePlace
    from harness.evidence.releases.moves import Move
    from harness.judge.metrics.artifact import ArtifactMetric
    from harness.judge.metrics.base import Metric, ProcessMetric, ProofMetric, SampleMetric
    from harness.judge.metrics.whole_set import SetMetric
    from harness.measure.reach.base import Reach
    from harness.measure.records import Outputs, ProcessRecord, Proof
    from harness.measure.runtimes.base import Runtime, Session, TensorSession
    from harness.measure.scenarios.base import ProducesOutputs, Scenario, ScenarioContext, TensorScenario
    from harness.spec.tasks import Task
    from harness.workloads.base import ArraySplit, Settings, Split, TensorSpec, TensorWorkload, Workload
    from harness.workloads.reading import Reading

_PLACES = {
    "harness.build.artifact": ("Artifact",),
    "harness.build.passes.base": ("PassContext", "Pass", "Quantizer"),
    "harness.core.errors": ("KpiError", "Unavailable"),
    "harness.core.formats": ("REFERENCE",),
    "harness.core.registry": ("NoOptions", "check_counts", "options_table"),
    "harness.core.units": ("BYTES", "COUNT", "ENERGY", "NUMBER", "SHARE", "TIME", "Dimension"),
    "harness.evidence.releases.base": ("ReleasePlace",),
    "harness.evidence.releases.moves": ("Move",),
    "harness.judge.metrics.artifact": ("ArtifactMetric",),
    "harness.judge.metrics.base": ("Metric", "ProcessMetric", "ProofMetric", "SampleMetric"),
    "harness.judge.metrics.whole_set": ("SetMetric",),
    "harness.measure.reach.base": ("Reach",),
    "harness.measure.records": ("Outputs", "ProcessRecord", "Proof"),
    "harness.measure.runtimes.base": ("Runtime", "Session", "TensorSession"),
    "harness.measure.scenarios.base": ("Scenario", "ProducesOutputs", "ScenarioContext", "TensorScenario"),
    "harness.spec.tasks": ("Task",),
    "harness.workloads.reading": ("Reading",),
    "harness.workloads.base": ("ArraySplit", "Workload", "Settings", "Split", "TensorSpec", "TensorWorkload"),
}
_MODULE_OF = {name: module for module, names in _PLACES.items() for name in names}

__all__ = [
    "BYTES",
    "COUNT",
    "ENERGY",
    "NUMBER",
    "REFERENCE",
    "SHARE",
    "TIME",
    "ArraySplit",
    "Artifact",
    "ArtifactMetric",
    "Dimension",
    "KpiError",
    "Metric",
    "Move",
    "NoOptions",
    "Outputs",
    "Pass",
    "PassContext",
    "ProcessMetric",
    "ProcessRecord",
    "ProducesOutputs",
    "Proof",
    "ProofMetric",
    "Quantizer",
    "Reach",
    "Reading",
    "ReleasePlace",
    "Runtime",
    "SampleMetric",
    "Scenario",
    "ScenarioContext",
    "Session",
    "SetMetric",
    "Settings",
    "Split",
    "Task",
    "TensorScenario",
    "TensorSession",
    "TensorSpec",
    "TensorWorkload",
    "Unavailable",
    "Workload",
    "check_counts",
    "options_table",
]


def __getattr__(name: str) -> Any:
    # Loaded when asked for: a process that needs one part starts without the others.
    if name not in _MODULE_OF:
        raise AttributeError(f"harness has no public name {name!r}")
    return getattr(import_module(_MODULE_OF[name]), name)
