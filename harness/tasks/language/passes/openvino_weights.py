"""Compresses the weights of an OpenVINO language model to INT8 or INT4 with NNCF."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from harness.build.passes.base import Pass, PassContext
from harness.build.passes.ignored import check_ignored, named_operators, select
from harness.core.errors import KpiError, reason
from harness.core.registry import check_counts, options_table
from harness.tasks.language.passes.group_sizes import DEFAULT, fallen_back, layers_of, unfit
from harness.tasks.language.passes.loadable import check_language_model
from harness.tasks.language.passes.optimum_openvino import FORMAT
from harness.tasks.language.workload import LanguageModel
from harness.workloads.huggingface import require_floats
from harness.workloads.torchvision_compat import import_torchvision

_MODEL = "openvino_model.xml"
_BITS = {"int8": 8, "int4": 4}


class OpenVinoWeights(Pass):
    """Optimum Intel's ``OVWeightQuantizationConfig`` applied to the exported model; activations stay as they are.

    Data-aware methods (``awq``, ``scale_estimation``, ``gptq``) see the fixture's calibration split.
    """

    name = "openvino-weights"
    title = "weight compression"
    input_formats = frozenset({FORMAT})
    output_format = FORMAT
    requires = ("optimum-intel", "transformers", "nncf", "openvino")

    @options_table
    class Options:
        """Settings under Optimum Intel's names.

        ``mode``: the precision of most weights; ``sym``; ``group_size`` (-1: one scale a channel); ``ratio``: the
        share of layers in 4 bits, the others in ``backup_precision``; ``all_layers``: embedding and last layer too;
        ``samples``: how many calibration prompts the data-aware methods see; ``group_size_fallback``: what becomes of
        layers whose width ``group_size`` does not divide; ``ignored``: operators whose weights stay as they are.
        """

        mode: Literal["int8", "int4"] = "int8"
        sym: bool = False
        group_size: int | None = None
        ratio: float = 1.0
        all_layers: bool = False
        backup_precision: Literal["int8_sym", "int8_asym", "none"] | None = None
        awq: bool = False
        scale_estimation: bool = False
        gptq: bool = False
        samples: int = 64
        group_size_fallback: Literal["adjust", "ignore"] | None = None
        ignored: Mapping[str, Sequence[str]] | None = None

        def __post_init__(self) -> None:
            check_counts(samples=self.samples)
            check_ignored(self.ignored)
            if not 0 < self.ratio <= 1:
                raise ValueError("ratio must be above 0 and at most 1")
            if self.group_size is not None and self.group_size != -1 and self.group_size < 1:
                raise ValueError("group_size must be -1 or at least 1")
            four = self.awq or self.scale_estimation or self.gptq or self.ratio < 1 or self.all_layers
            four = four or self.group_size_fallback is not None
            if self.mode == "int8" and (four or self.group_size not in (None, -1)):
                raise ValueError(
                    "group_size, group_size_fallback, ratio, all_layers, awq, scale_estimation and gptq are for int4"
                )

    @property
    def integer(self) -> bool:
        # OpenVINO multiplies such weights by activations that it quantizes while it runs.
        return True

    def run(self, job: PassContext) -> dict[str, Any]:
        if not isinstance(job.workload, LanguageModel) or job.source is None:
            raise KpiError(f'pass "{self.name}" compresses exported language models')
        require_floats(job.workload.folder(), f'"{self.name}"')
        import_torchvision()
        import nncf
        import openvino as ov
        from optimum.intel import OVModelForCausalLM, OVWeightQuantizationConfig

        source = job.source / _MODEL
        operators = named_operators(ov.Core().read_model(str(source)))
        ignored = [operators[place][0] for place in select(self.options.ignored, operators)]
        layers = layers_of(source)
        size = self.options.group_size or DEFAULT
        job.progress(f"compressing weights to {self.options.mode}")
        try:
            config = OVWeightQuantizationConfig(**self._settings(job.workload, ignored))
            model = OVModelForCausalLM.from_pretrained(
                job.source, compile=False, quantization_config=config, local_files_only=True
            )
        except nncf.InvalidGroupSizeError as error:
            raise unfit(layers, size) from error
        except (ValueError, RuntimeError) as error:
            raise KpiError(f"the weights can't be compressed so: {reason(error)}") from error
        model.save_pretrained(job.out)
        for file in sorted(job.source.iterdir()):
            # The tokenizer's files belong to what is deployed; the manifest is the other artifact's.
            if file.name != "manifest.json" and not (job.out / file.name).exists():
                shutil.copyfile(file, job.out / file.name)
        check_language_model(source, job.out / _MODEL)
        notes: dict[str, Any] = {"precisions": constants(job.out / _MODEL), "ignored": ignored}
        if self.options.group_size_fallback is not None:
            notes["fallen_back"] = fallen_back(layers, layers_of(job.out / _MODEL), size)
        return notes

    def _settings(self, workload: LanguageModel, ignored: Sequence[str]) -> dict[str, Any]:
        chosen = self.options
        settings: dict[str, Any] = {"bits": _BITS[chosen.mode], "sym": chosen.sym}
        if ignored:
            settings["ignored_scope"] = {"names": list(ignored), "validate": False}
        if chosen.mode == "int4":
            settings |= {"ratio": chosen.ratio, "all_layers": chosen.all_layers or None}
            if chosen.group_size is not None:
                settings["group_size"] = chosen.group_size
            if chosen.group_size_fallback is not None:
                settings["group_size_fallback"] = chosen.group_size_fallback
            if chosen.backup_precision is not None:
                settings["backup_precision"] = chosen.backup_precision
            aware = chosen.awq or chosen.scale_estimation or chosen.gptq
            if aware or chosen.ratio < 1:
                prompts = workload.prompts("calibration")[: chosen.samples]
                settings["dataset"] = [f"{prompt.prompt} {prompt.reference}" for prompt in prompts]
                settings["num_samples"] = len(prompts)
                settings["tokenizer"] = str(workload.folder())
            settings |= {
                "quant_method": "awq" if chosen.awq else "default",
                "scale_estimation": chosen.scale_estimation or None,
                "gptq": chosen.gptq or None,
            }
        return settings


def constants(file: Any) -> dict[str, int]:
    """Bytes of the network's constants by element type: what proves the precision of an IR."""
    import openvino as ov

    found: dict[str, int] = {}
    for node in ov.Core().read_model(str(file)).get_ops():
        if node.get_type_name() == "Constant":
            kind = node.get_output_element_type(0)
            count = math.prod(node.get_output_shape(0))
            found[kind.get_type_name()] = found.get(kind.get_type_name(), 0) + (count * kind.bitwidth + 7) // 8
    return dict(sorted(found.items()))
