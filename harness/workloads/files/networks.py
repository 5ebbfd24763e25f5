"""Models that are files and become a torch network: an exported program, a Hugging Face folder."""

from __future__ import annotations

import hashlib
import inspect
import json
from abc import ABC, abstractmethod
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.errors import KpiError, Unavailable, reason
from harness.core.files import write_atomically
from harness.core.formats import EXPORTED_PROGRAM
from harness.core.libraries import require
from harness.workloads.checkpoint import remembered_digest
from harness.workloads.files.signature import Port, Shape, Signature
from harness.workloads.huggingface import folder_digest, model_config, named_folder
from harness.workloads.torchvision_compat import before_transformers

if TYPE_CHECKING:
    import torch

    from harness.workloads.base import Settings

_INPUTS = {
    "input_ids": "int64",
    "attention_mask": "int64",
    "token_type_ids": "int64",
    "pixel_values": "float32",
    "input_values": "float32",
    "input_features": "float32",
}
"""What Hugging Face models take, with its type; others have to be exported by the user."""
_ANSWERS = {
    "QuestionAnswering": ("start_logits", "end_logits"),
    "ObjectDetection": ("logits", "pred_boxes"),
    "For": ("logits",),
    "": ("last_hidden_state",),
}
"""By a part of the class's name, the first that fits counts."""


class NetworkFile(ABC):
    """A workload's ``model`` that recipes export.

    Raises KpiError, with the reason, where it can't be read, or is a pickle that was not allowed.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._path = Path(str(settings.model))

    @property
    def name(self) -> str:
        """What messages call it."""
        return self._path.name

    def signature(self) -> Signature:
        """Inputs and outputs by name; remembered, so that processes that need no network do not load it."""
        kept = self._settings.cache / "signatures" / f"{hashlib.sha256(self.digest.encode()).hexdigest()}.json"
        if kept.is_file():
            return Signature.from_json(json.loads(kept.read_text(encoding="utf-8")))
        made = self.read_signature()
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(kept, json.dumps(asdict(made)))
        return made

    @cached_property
    @abstractmethod
    def digest(self) -> str:
        """Text that changes when the network does."""

    @abstractmethod
    def read_signature(self) -> Signature:
        """Inputs and outputs by name, from the network itself."""

    @abstractmethod
    def load(self) -> torch.nn.Module:
        """The network in evaluation mode, on the CPU."""


class ExportedProgram(NetworkFile):
    """``.pt2``, as ``torch.export.save`` writes it."""

    @cached_property
    def digest(self) -> str:
        self._require()
        return remembered_digest(self._path, self._settings.cache)

    def read_signature(self) -> Signature:
        program = self._program()
        wanted = program.graph_signature
        values = {node.name: node.meta.get("val") for node in program.graph.nodes}
        inputs = tuple(_port(name, values.get(name)) for name in wanted.user_inputs)
        outputs = [values.get(name) for name in wanted.user_outputs]
        names = self._names(program, len(outputs))
        ports = tuple(_port(name, value) for name, value in zip(names, outputs, strict=True))
        return Signature(inputs, ports, "torch exported program")

    def load(self) -> torch.nn.Module:
        network: torch.nn.Module = self._program().module()
        for module in network.modules():
            module.training = False
        # Its mode was fixed when it was exported, and it refuses to be asked for one.
        vars(network)["eval"] = lambda: network
        return network

    def _require(self) -> None:
        if not self._path.is_file():
            raise Unavailable(f"model {self._path} is not here", "check its path")
        if not self._settings.allow_pickle:
            raise KpiError(
                f"{self.name} may hold pickles, which can run any code when they are loaded",
                "set allow_pickle = true in the workload's table if you trust it, or export it to ONNX",
            )

    def _program(self) -> Any:
        self._require()
        torch: Any = require("torch")
        try:
            return torch.export.load(self._path)
        except Exception as error:
            raise KpiError(
                f"{self.name} is not an exported program, or a damaged one: {reason(error)}",
                "write it with torch.export.save",
            ) from error

    @staticmethod
    def _names(program: Any, count: int) -> list[str]:
        """The keys of a mapping that the network returns; numbers where it returns tensors alone."""
        spec = program.call_spec.out_spec
        keys = list(spec.context) if spec is not None and spec.type is dict else []
        if len(keys) == count:
            return [str(key) for key in keys]
        return ["output"] if count == 1 else [f"output{place}" for place in range(count)]


class HuggingFaceFolder(NetworkFile):
    """A folder with ``config.json`` and safetensors, or the name of such a repository that was downloaded."""

    def _folder(self) -> Path:
        folder = named_folder(self._settings)
        if folder is None:
            raise Unavailable(f"model {self._path} is not here", "check its path")
        return folder

    @cached_property
    def digest(self) -> str:
        return folder_digest(self._folder(), self._settings.cache)

    def read_signature(self) -> Signature:
        name, cls, config = self._class()
        taken = list(inspect.signature(cls.forward).parameters)
        main = str(getattr(cls, "main_input_name", "input_ids"))
        wanted = [main]
        if main == "input_ids":
            segments = "token_type_ids" in taken and (config.get("type_vocab_size") or 0) > 1
            wanted += ["attention_mask", *(["token_type_ids"] if segments else [])]
        if unknown := [one for one in wanted if one not in _INPUTS]:
            raise KpiError(f"{self.name}: {name} takes {unknown[0]}, which is not supported", "export it to ONNX")
        # The order in which the network takes them, since an export gives them by place.
        inputs = tuple(Port(one, _INPUTS[one], None) for one in taken if one in wanted)
        answers = next(names for part, names in _ANSWERS.items() if part in name)
        return Signature(inputs, tuple(Port(one, "float32", None) for one in answers), f"Hugging Face {name}")

    def load(self) -> torch.nn.Module:
        name, cls, _ = self._class()
        try:
            network, told = cls.from_pretrained(
                self._folder(),
                use_safetensors=None if self._settings.allow_pickle else True,
                dtype="float32",
                output_loading_info=True,
            )
        except Exception as error:
            raise KpiError(f"{self.name} can't be loaded as {name}: {reason(error)}", "fetch it again") from error
        if lacking := sorted(told["missing_keys"]):
            raise KpiError(
                f"{self.name}: its weights lack {len(lacking)} that {name} has, such as {lacking[0]}: they would be "
                "random",
                "name the class that was trained in config.json, or save the model again",
            )
        network.eval()
        return _by_name(network, [port.name for port in self.signature().inputs])

    def _class(self) -> tuple[str, Any, dict[str, Any]]:
        """The class that the configuration names. Raises KpiError where transformers has none of that name."""
        require("torch")
        before_transformers()
        transformers: Any = require("transformers")
        config = model_config(self._folder())
        name = str((config.get("architectures") or [""])[0])
        try:
            cls = getattr(transformers, name, None)
        except ImportError as error:
            raise Unavailable(f"{self.name}: {name} can't be imported: {reason(error)}", "reinstall it") from error
        if not name:
            raise KpiError(
                f"{self.name}: its config.json names no class of the model",
                'name it: "architectures": ["BertForSequenceClassification"], or export the model to ONNX',
            )
        if not (inspect.isclass(cls) and issubclass(cls, transformers.PreTrainedModel)):
            raise KpiError(
                f"{self.name}: transformers {transformers.__version__} has no {name}",
                "update transformers, or export the model to ONNX",
            )
        return name, cls, config


def _by_name(network: torch.nn.Module, names: list[str]) -> torch.nn.Module:
    """The network taking its inputs by place, as exports give them, in an order of names."""

    def named(_: torch.nn.Module, inputs: tuple[Any, ...], given: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        return (), {**dict(zip(names, inputs, strict=False)), **given}

    network.register_forward_pre_hook(named, with_kwargs=True)
    return network


def _port(name: str, value: Any) -> Port:
    if value is None or not hasattr(value, "dtype"):
        raise KpiError(f"the exported program takes or answers {name}, which is not a tensor", "export it without")
    shape: Shape = tuple(int(size) if isinstance(size, int) else None for size in value.shape)
    return Port(name, str(value.dtype).removeprefix("torch."), shape)


def network_file(settings: Settings) -> NetworkFile | None:
    """The network that a workload's ``model`` is; None for a file that a runtime runs as it is."""
    model = str(settings.model)
    if model.lower().endswith(EXPORTED_PROGRAM):
        return ExportedProgram(settings)
    path = Path(model)
    return HuggingFaceFolder(settings) if path.is_dir() or not path.is_absolute() else None
