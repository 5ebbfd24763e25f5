"""Hands a package to a registry: a folder, an OCI registry, MLflow, Azure Machine Learning."""

from __future__ import annotations

import importlib
import shutil
import subprocess
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit

from harness.core.errors import KpiError, Unavailable, reason
from harness.core.file_names import file_name
from harness.evidence.package.contents import Contents
from harness.evidence.package.writing import check_place, refused, settle, suffix_of

_TIMEOUT_S = 3600.0
_TYPE = "application/vnd.kpi.package.v1"
_SHORT = 12


class Push(ABC):
    """One kind of place; making it fails where its client is missing, before anything is packed."""

    scheme: ClassVar[str]

    def __init__(self, target: str) -> None:
        """``target`` is what follows the scheme."""
        self.target = target

    @abstractmethod
    def send(self, contents: Contents, written: Path) -> str:
        """Sends the package that was ``written``; returns where it is now."""


def pusher(target: str) -> Push:
    """What sends to ``target``: a folder, ``file://...``, ``oci://...``, ``mlflow:...``, ``azureml:...``.

    Raises KpiError for another scheme, Unavailable where the client is not installed.
    """
    scheme, mark, rest = target.partition(":")
    kinds: dict[str, type[Push]] = {kind.scheme: kind for kind in (File, Oci, Mlflow, AzureMl)}
    if mark and scheme in kinds:
        return kinds[scheme](rest)
    if mark and rest.startswith("//"):
        raise KpiError(f'--push: nothing is known of "{scheme}:"', f"known are a folder and {', '.join(kinds)}")
    return File(target)


class File(Push):
    """Another folder: the package is copied into it under its own name, whole or not at all."""

    scheme = "file"

    def __init__(self, target: str) -> None:
        super().__init__(target)
        self.folder = Path(unquote(urlsplit(target).path) if target.startswith("//") else target).expanduser()

    def send(self, contents: Contents, written: Path) -> str:
        """Copies the folder or archive."""
        del contents
        out = self.folder.absolute() / written.name
        if out == written.absolute():
            return str(out)
        try:
            check_place(out)
            self.folder.mkdir(parents=True, exist_ok=True)
            aside = Path(tempfile.mkdtemp(prefix=".kpi-package-", dir=self.folder))
            try:
                fresh = aside / "fresh"
                if written.is_dir():
                    shutil.copytree(written, fresh)
                else:
                    shutil.copy2(written, fresh)
                settle(fresh, out, aside / "before")
            finally:
                shutil.rmtree(aside, ignore_errors=True)
        except shutil.Error as error:
            raise KpiError(
                f"{out} can't be written: {error.args[0][0][2]}", "free space, or name another place"
            ) from None
        except OSError as error:
            raise refused(out, error) from None
        return str(out)


class Oci(Push):
    """An OCI registry, through ``oras``: each file is a layer under its own name, so that `oras pull` restores it."""

    scheme = "oci"

    def __init__(self, target: str) -> None:
        super().__init__(target)
        self.tool = shutil.which("oras") or ""
        if not self.tool:
            raise Unavailable("oras is not installed", "go install oras.land/oras/cmd/oras@v1.3.0")
        if not target.startswith("//") or target.count("/") < 3:  # noqa: PLR2004 - //registry/repository
            raise KpiError(f'--push: "oci:{target}" names no repository', "write oci://REGISTRY/REPOSITORY[:TAG]")

    def send(self, contents: Contents, written: Path) -> str:
        """Pushes; what ``oras`` says when it fails is the error."""
        command, reference = oras_command(self.tool, self.target, contents, written)
        folder = written if written.is_dir() else written.parent
        done = subprocess.run(
            command,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        if done.returncode:
            said = (done.stderr.strip() or done.stdout.strip()).splitlines() or ["it does not say why"]
            raise KpiError(f"oras could not push to {reference}: {said[0]}", "is `oras login` needed?")
        return f"oci://{reference}"


def without_tls(repository: str) -> bool:
    """Whether a registry speaks plain HTTP: one of this machine."""
    return repository.partition("/")[0].partition(":")[0] in ("localhost", "127.0.0.1")


def oras_command(tool: str, target: str, contents: Contents, written: Path) -> tuple[list[str], str]:
    """What is called in the package's folder, and the reference; the tag is the root digest unless one is named."""
    reference = target.removeprefix("//")
    if ":" not in reference.rpartition("/")[2]:
        reference += f":{contents.digest[:_SHORT]}"
    command = [tool, "push", "--artifact-type", _TYPE, *(["--plain-http"] if without_tls(reference) else [])]
    for name, value in _labels(contents).items():
        command += ["--annotation", f"{name}={value}"]
    names = [written.name] if suffix_of(written) else sorted(contents.files)
    # With its media type named, a name may hold colons of its own.
    return [*command, "--", reference, *(f"{name}:application/octet-stream" for name in names)], reference


class Mlflow(Push):
    """A run of MLflow, at MLFLOW_TRACKING_URI: the package as its artifacts, the measured values as its metrics."""

    scheme = "mlflow"

    def __init__(self, target: str) -> None:
        super().__init__(target)
        self.client = _client("mlflow", "pip install mlflow-skinny")

    def send(self, contents: Contents, written: Path) -> str:
        """Logs the package into the experiment that was named, or MLflow's default one."""
        mlflow = self.client
        try:
            if name := self.target.strip("/"):
                mlflow.set_experiment(name)
            with mlflow.start_run(run_name=contents.name, tags=_labels(contents)) as run:
                mlflow.log_metrics(dict(contents.values))
                if written.is_dir():
                    mlflow.log_artifacts(str(written), "package")
                else:
                    mlflow.log_artifact(str(written), "package")
        except Exception as error:
            raise KpiError(f"MLflow refused the package: {reason(error)}", "is MLFLOW_TRACKING_URI right?") from error
        return f"mlflow:{run.info.run_id}"


class AzureMl(Push):
    """A custom model of an Azure Machine Learning workspace, the one that `config.json` of Azure's names."""

    scheme = "azureml"

    def __init__(self, target: str) -> None:
        super().__init__(target)
        command = "pip install azure-ai-ml azure-identity"
        self.ml, self.identity = _client("azure.ai.ml", command), _client("azure.identity", command)

    def send(self, contents: Contents, written: Path) -> str:
        """Registers the package under the name that was given, or the KPI's."""
        try:
            entities = importlib.import_module("azure.ai.ml.entities")
            client = self.ml.MLClient.from_config(self.identity.DefaultAzureCredential())
            model = entities.Model(
                path=str(written),
                name=self.target.strip("/") or file_name(contents.kpi),
                type="custom_model",
                tags=_labels(contents),
            )
            made = client.models.create_or_update(model)
        except Exception as error:
            raise KpiError(f"Azure ML refused the package: {reason(error)}", "is `az login` needed?") from error
        return f"azureml:{made.name}:{made.version}"


def _client(module: str, command: str) -> Any:
    """The client's module; Unavailable with the one command that installs it."""
    try:
        missing = find_spec(module) is None
    except ModuleNotFoundError:
        missing = True
    if missing:
        raise Unavailable(f"{module} is not installed", command)
    return importlib.import_module(module)


def _labels(contents: Contents) -> Mapping[str, str]:
    return {
        "kpi.name": contents.kpi,
        "kpi.proven": "no" if contents.forced else "yes",
        "kpi.package": f"sha256:{contents.digest}",
        "kpi.artifact": f"sha256:{contents.artifact}",
    }
