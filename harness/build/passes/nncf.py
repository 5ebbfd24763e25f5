"""Quantizes an OpenVINO model to INT8 with NNCF, plain or with accuracy control."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal

from harness.build.passes.base import PassContext, Quantizer
from harness.build.passes.frames import calibration
from harness.build.passes.ignored import check_ignored, named_operators, select
from harness.build.passes.tuning import Infer, Tuning, asked_outputs, check_drop
from harness.core.errors import KpiError
from harness.core.registry import check_counts, options_table


class Nncf(Quantizer):
    """NNCF's post-training quantization; with ``max_drop`` its accuracy control, whose result is measured again."""

    name = "nncf"
    title = "NNCF INT8"
    input_formats = frozenset({"openvino", "onnx"})
    output_format = "openvino"
    requires = ("nncf", "openvino")

    @options_table
    class Options:
        """Settings under NNCF's names, and the accuracy limit.

        ``calibration``: training samples (NNCF's ``subset_size``); ``model_type``: NNCF's scheme for a kind of network;
        ``max_drop``: the permitted loss of accuracy on ``tuning`` validation samples; ``overflow_fix``: which weights
        take half the range, for processors without VNNI; ``ignored``: operators that stay in floating point.
        """

        calibration: int = 128
        preset: Literal["performance", "mixed"] = "mixed"
        model_type: Literal["transformer"] | None = None
        fast_bias_correction: bool = True
        max_drop: str | None = None
        tuning: int = 600
        overflow_fix: Literal["disable", "enable", "first_layer_only"] = "first_layer_only"
        ignored: Mapping[str, Sequence[str]] | None = None

        def __post_init__(self) -> None:
            check_counts(calibration=self.calibration, tuning=self.tuning)
            if self.max_drop is not None:
                check_drop(self.max_drop)
            check_ignored(self.ignored)

    def remedy(self, error: Exception) -> str:
        # NNCF calibrates each branch of an If by itself, and calls one that is never taken an empty dataset.
        if "dataset must not be empty" not in str(error):
            return ""
        return 'a branch of an If is never taken: put "onnx-optimize" before "openvino", which removes it'

    def run(self, job: PassContext) -> dict[str, Any]:
        import nncf
        import openvino as ov

        source = "model.xml" if job.input("model.xml").exists() else "model.onnx"
        model = ov.Core().read_model(str(job.input(source)))
        settings = {
            "preset": nncf.QuantizationPreset(self.options.preset),
            "subset_size": self.options.calibration,
            "model_type": nncf.ModelType.TRANSFORMER if self.options.model_type else None,
            "fast_bias_correction": self.options.fast_bias_correction,
        }
        operators = named_operators(model)
        ignored = [operators[place][0] for place in select(self.options.ignored, operators)]
        if ignored:
            # Some of what is named may be no operator that NNCF would have quantized.
            settings["ignored_scope"] = nncf.IgnoredScope(names=ignored, validate=False)
        samples = calibration(job, self.options.calibration)
        dataset = nncf.Dataset(samples)
        job.progress(f"quantizing with {len(samples)} samples")
        advanced = nncf.AdvancedQuantizationParameters(overflow_fix=nncf.OverflowFix(self.options.overflow_fix))
        if self.options.max_drop is None:
            quantized = nncf.quantize(model, dataset, advanced_parameters=advanced, **settings)
            notes: dict[str, Any] = {}
        else:
            settings["advanced_quantization_parameters"] = advanced
            quantized, notes = self._controlled(job, model, dataset, settings)
        ov.save_model(quantized, str(job.out / "model.xml"), compress_to_fp16=False)
        return {**samples.notes, "ignored": ignored, **notes}

    def _controlled(
        self,
        job: PassContext,
        model: Any,
        calibration: Any,
        settings: dict[str, Any],
    ) -> tuple[Any, dict[str, Any]]:
        import nncf
        import openvino as ov

        tuning = Tuning(job.tensors, self.options.tuning, 1)
        limit, names = tuning.permitted(str(self.options.max_drop)), asked_outputs(job.tensors)

        def asked(compiled: Any, feeds: Any) -> dict[str, Any]:
            said = compiled(feeds)
            return {name: said[name] for name in names}

        def infer(candidate: Any) -> Infer:
            return partial(asked, ov.compile_model(candidate, "CPU", {"INFERENCE_PRECISION_HINT": "f32"}))

        before = tuning.begin(infer(model))

        def validate(compiled: Any, samples: Any) -> float:
            # NNCF divides by the score of the model that it begins with.
            return tuning.score(partial(asked, compiled), samples) - before + 1

        quantized = nncf.quantize_with_accuracy_control(
            model,
            calibration_dataset=calibration,
            validation_dataset=nncf.Dataset(tuning.samples, lambda sample: sample[0]),
            validation_fn=validate,
            max_drop=limit,
            drop_type=nncf.DropType.ABSOLUTE,
            **settings,
        )

        after = tuning.score(infer(quantized))
        # It ends with a log line, not an exception, when it can't keep the limit.
        if before - after > limit + 1e-9:
            raise KpiError(
                f"NNCF's accuracy control lost {before - after:.4g} on validation samples, permitted are {limit:.4g} "
                f"({self.options.max_drop})",
                "permit a larger max_drop or calibrate on more samples",
            )
        return quantized, {"validation_fp32": before, "validation": after}
