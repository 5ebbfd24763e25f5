"""Fine-tunes an extractive model with quantization in the loop."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from harness.build.passes.base import Pass, PassContext
from harness.build.passes.training import Order, Plan, train
from harness.core.errors import KpiError
from harness.core.formats import REFERENCE
from harness.core.registry import check_counts, options_table
from harness.tasks.question_answering.workload import QuestionAnswering

if TYPE_CHECKING:
    import torch

    from harness.workloads.base import Split

FORMAT = "nncf-torch"
WEIGHTS, QUANTIZERS = "model.safetensors", "nncf.json"


class Qat(Pass):
    """NNCF's fake quantizers in the network, calibrated, then trained with the weights on the fixture's questions.

    ``fake_quantize = false`` trains as long without them: the control that says what of a gain is mere training.
    """

    name = "qat"
    title = "quantization-aware training"
    effort = 100.0
    input_formats = frozenset({REFERENCE})
    output_format = FORMAT
    requires = ("torch", "transformers", "nncf", "safetensors")

    @options_table
    class Options:
        """How long, how fast, on what.

        ``max_train_samples``: training questions; ``max_eval_samples``: validation questions for the notes;
        ``calibration``: windows that set the quantizers' ranges at first; ``compiled``: NNCF's quantizers as compiled
        code, which takes a minute to compile where it was not yet and makes each step faster: for long trainings.
        """

        max_train_samples: int = 4000
        max_eval_samples: int = 300
        epochs: int = 1
        batch: int = 16
        learning_rate: float = 1e-4
        seed: int = 1
        calibration: int = 128
        fake_quantize: bool = True
        compiled: bool = True

        def __post_init__(self) -> None:
            counts = {
                name: getattr(self, name) for name in ("max_train_samples", "max_eval_samples", "epochs", "batch")
            }
            check_counts(**counts, calibration=self.calibration)
            if not 0 < self.learning_rate < 1:
                raise ValueError("learning_rate must be above 0 and below 1")

    @property
    def integer(self) -> bool:
        return bool(self.options.fake_quantize)

    def run(self, job: PassContext) -> dict[str, Any]:
        import torch
        from safetensors.torch import save_file

        workload = questions_of(job, self.name)
        torch.set_num_threads(1)
        torch.manual_seed(self.options.seed)
        job.progress("reading the training questions")
        split = workload.examples("training", self.options.max_train_samples)
        if not len(split):
            raise KpiError(f"workload {workload.settings.name} has no training questions")
        model = workload.model()
        if self.options.fake_quantize:
            job.progress("placing the quantizers")
            model = self._quantized(model, split, job)
        names = [spec.name for spec in workload.inputs]
        steps = self.options.epochs * max(1, len(split) // self.options.batch)
        order = Order(len(split), self.options.batch, self.options.seed)

        def loss(step: int) -> torch.Tensor:
            rows = order.rows(step)
            feeds = split.take(rows)
            said = model(*(torch.from_numpy(feeds[name]) for name in names))
            wanted = torch.from_numpy(split.labels[rows])
            ends = [torch.nn.functional.cross_entropy(logits, wanted[:, end]) for end, logits in enumerate(said)]
            return torch.stack(ends).mean()

        last = train(model, Plan(steps, self.options.learning_rate, self.options.seed), loss, job.work, job.progress)
        job.progress("scoring on validation questions")
        score = workload.score(model, self.options.max_eval_samples)
        if self.options.fake_quantize:
            from nncf.torch import get_config

            (job.out / QUANTIZERS).write_text(json.dumps(get_config(model), sort_keys=True), encoding="utf-8")
        state = {name: tensor.contiguous().clone() for name, tensor in model.state_dict().items()}
        save_file(state, job.out / WEIGHTS)
        return {"steps": steps, "loss": last, "validation": score, "windows": len(split)}

    def _quantized(self, model: torch.nn.Module, split: Split, job: PassContext) -> torch.nn.Module:
        import torch

        prepare_nncf(job, compiled=self.options.compiled)
        import nncf

        count = min(self.options.calibration, len(split))
        samples = [
            tuple(torch.from_numpy(array) for array in split.inputs(row, row + 1).values()) for row in range(count)
        ]
        made: torch.nn.Module = nncf.quantize(
            model,
            nncf.Dataset(samples, lambda sample: sample),
            model_type=nncf.ModelType.TRANSFORMER,
            subset_size=count,
        )
        return made


def questions_of(job: PassContext, name: str) -> QuestionAnswering:
    """The workload of a pass that is for extractive models."""
    if not isinstance(job.workload, QuestionAnswering):
        raise KpiError(f'pass "{name}" trains models that answer questions', "use it with a fixture of that task")
    return job.workload


def trained(job: PassContext, name: str) -> tuple[QuestionAnswering, torch.nn.Module]:
    """The workload, and the network as :class:`Qat` left it."""
    from safetensors.torch import load_file

    workload = questions_of(job, name)
    model = workload.model()
    if job.input(QUANTIZERS).exists():
        prepare_nncf(job, compiled=False)
        from nncf.torch import load_from_config

        model = load_from_config(model, json.loads(job.input(QUANTIZERS).read_text(encoding="utf-8")))
    model.load_state_dict(load_file(job.input(WEIGHTS)))
    return workload, model.eval()


class QatExport(Pass):
    """A pass that writes the trained network in a format that runtimes read."""

    input_formats = frozenset({FORMAT})

    @property
    def tolerance(self) -> float:
        """The runtime multiplies integers where training rounded floats: values differ by a step of eight bits."""
        return 0.15

    def source_network(self, job: PassContext) -> torch.nn.Module:
        return trained(job, self.name)[1]


def prepare_nncf(job: PassContext, *, compiled: bool) -> None:
    """Has NNCF compile its quantizers, kept in the store and waited for, or take those that torch's operators make up.

    The latter are what NNCF itself falls back to where there is no compiler.
    """
    if compiled:
        os.environ.setdefault("NNCF_EXTENSION_LOAD_TIMEOUT", "0")
        os.environ.setdefault("TORCH_EXTENSIONS_DIR", str(job.workload.settings.cache / "torch_extensions"))
        return
    from nncf.torch.quantization import extensions

    extensions.QuantizedFunctionsCPULoader.load = lambda _: extensions.ReferenceQuantizedFunctions
