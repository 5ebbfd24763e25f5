"""Whisper as OpenVINO networks: exported with Optimum Intel, then its weights compressed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from harness.build.passes.base import Pass, PassContext
from harness.core.errors import KpiError, reason
from harness.core.formats import REFERENCE
from harness.core.registry import options_table
from harness.tasks.language.passes.openvino_weights import constants
from harness.tasks.language.passes.optimum_export import REQUIRES, export_to_openvino
from harness.tasks.speech.passes.faithful import compare_whisper
from harness.tasks.speech.workload import PREPROCESSOR, Speech, feature_settings
from harness.workloads.huggingface import linked_folder
from harness.workloads.torchvision_compat import import_torchvision

FORMAT = "openvino-whisper"
NETWORKS = ("openvino_encoder_model.xml", "openvino_decoder_model.xml")
_COPY = "copy it from the model that it was fine-tuned from, such as openai/whisper-small"
_NEEDED = (*NETWORKS, "openvino_tokenizer.xml", "openvino_detokenizer.xml", PREPROCESSOR)


class OptimumWhisper(Pass):
    """Encoder, stateful decoder with its cache, tokenizer, settings."""

    name = "optimum-whisper"
    title = "export of Whisper with Optimum Intel"
    input_formats = frozenset({REFERENCE})
    output_format = FORMAT
    hub = "openvino"
    requires = REQUIRES

    @options_table
    class Options:
        """``weights``: the precision in which they are stored."""

        weights: Literal["fp32", "fp16"] = "fp16"

    def run(self, job: PassContext) -> dict[str, Any]:
        if not isinstance(job.workload, Speech):
            raise KpiError(f'pass "{self.name}" exports speech recognizers', "use it with a fixture of recordings")
        folder = job.workload.folder()
        _check_kind(folder)
        require_generation(folder)
        if not (folder / PREPROCESSOR).is_file():
            # Newer libraries write these settings elsewhere than the exporter looks.
            settings = {PREPROCESSOR: json.dumps(feature_settings(folder))}
            folder = linked_folder(folder, job.scratch / "with-features" / folder.name, settings)
        import_torchvision()
        job.progress("exporting encoder and decoder")
        with _window(job.workload):
            export_to_openvino(job, folder, "automatic-speech-recognition-with-past", self.options.weights, _NEEDED)
        job.progress("comparing with the network")
        compared = compare_whisper(self.name, job.workload, job.out, self.tolerance)
        return {"weights": self.options.weights, "precisions": _precisions(job.out), "compared": compared}

    @property
    def tolerance(self) -> float:
        """Half precision rounds weights to 11 bits."""
        return 5e-2 if self.options.weights == "fp16" else 1e-3


class WhisperWeights(Pass):
    """Optimum Intel's ``OVWeightQuantizationConfig`` applied to encoder and decoder; activations stay as they are."""

    name = "whisper-weights"
    title = "weight compression of Whisper"
    input_formats = frozenset({FORMAT})
    output_format = FORMAT
    requires = ("optimum-intel", "transformers", "nncf", "openvino")

    @options_table
    class Options:
        """``sym``: whether the INT8 weights have no zero point."""

        sym: bool = False

    @property
    def integer(self) -> bool:
        return True

    def run(self, job: PassContext) -> dict[str, Any]:
        if not isinstance(job.workload, Speech) or job.source is None:
            raise KpiError(f'pass "{self.name}" compresses exported speech recognizers')
        import_torchvision()
        from optimum.intel import OVModelForSpeechSeq2Seq, OVWeightQuantizationConfig

        job.progress("compressing weights to int8")
        try:
            model = OVModelForSpeechSeq2Seq.from_pretrained(
                job.source,
                compile=False,
                quantization_config=OVWeightQuantizationConfig(bits=8, sym=self.options.sym),
                local_files_only=True,
            )
        except (ValueError, RuntimeError) as error:
            raise KpiError(f"the weights can't be compressed so: {reason(error)}") from error
        model.save_pretrained(job.out)
        for file in sorted(job.source.iterdir()):
            # The tokenizer's files belong to what is deployed; the manifest is the other artifact's.
            if file.name != "manifest.json" and not (job.out / file.name).exists():
                shutil.copyfile(file, job.out / file.name)
        return {"precisions": _precisions(job.out)}


def require_generation(folder: Path) -> dict[str, Any]:
    """A Whisper's ``generation_config.json``; KpiError where it is not there or can't be read."""
    name = "generation_config.json"
    try:
        config = json.loads((folder / name).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise KpiError(f"{folder.name} holds no {name}", _COPY) from None
    except (OSError, ValueError):
        raise KpiError(f"{name} in {folder.name} can't be read", _COPY) from None
    return config if isinstance(config, dict) else {}


def _check_kind(folder: Path) -> None:
    try:
        kind = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type")
    except (OSError, ValueError, AttributeError):
        raise KpiError(f"{folder.name} holds no config.json that can be read", "fetch the model again") from None
    if kind != "whisper":
        raise KpiError(f"the model in {folder.name} is a {kind}, not a whisper", "name one of Whisper's architecture")


@contextmanager
def _window(workload: Speech) -> Iterator[None]:
    """Lets the exporter try the network with as many frames as it hears: its own are thirty seconds of them."""
    from optimum.utils.input_generators import DEFAULT_DUMMY_SHAPES

    before = DEFAULT_DUMMY_SHAPES["nb_max_frames"]
    DEFAULT_DUMMY_SHAPES["nb_max_frames"] = round(100 * workload.window_s)
    try:
        yield
    finally:
        DEFAULT_DUMMY_SHAPES["nb_max_frames"] = before


def _precisions(folder: Path) -> Mapping[str, Mapping[str, int]]:
    return {name: constants(folder / name) for name in NETWORKS}
