"""Exports a Hugging Face folder to OpenVINO with Optimum Intel: what the passes for each kind of model share."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from harness.build.passes.base import PassContext
from harness.core.errors import KpiError
from harness.workloads.torchvision_compat import import_torchvision

REQUIRES = ("optimum-intel", "transformers", "openvino", "openvino-tokenizers")


def export_to_openvino(job: PassContext, folder: Path, task: str, weights: str, needed: Iterable[str]) -> None:
    """``optimum.exporters.openvino.main_export``, which is what ``optimum-cli export openvino`` calls.

    The function raises where the command may end with exit code 0 and nothing written; KpiError when one of the
    ``needed`` files is not there all the same.
    """
    import_torchvision()
    from optimum.exporters.openvino import main_export
    from optimum.intel import OVConfig

    main_export(
        str(folder),
        job.out,
        task=task,
        library_name="transformers",
        ov_config=OVConfig(dtype=weights),
        convert_tokenizer=True,
        trust_remote_code=job.workload.settings.trust_remote_code,
        local_files_only=True,
    )
    for name in needed:
        if not (job.out / name).is_file():
            raise KpiError(f"Optimum Intel left no {name}", "see build.log")
