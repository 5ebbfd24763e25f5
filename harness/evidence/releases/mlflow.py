"""Releases in MLflow's registry: an alias of a registered model is the pointer, tags of the model are the history."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from harness.core.errors import KpiError, reason
from harness.core.libraries import require
from harness.evidence.package.contents import Contents
from harness.evidence.package.pushing import Mlflow as Pushing
from harness.evidence.package.writing import suffix_of, write
from harness.evidence.releases.base import NoRelease, ReleasePlace
from harness.evidence.releases.moves import Move, move_of

_REFERENCE = re.compile(r"models:/([^/@]+)(?:@([A-Za-z0-9_.-]+)|/([1-9]\d*))")
_TAG = "kpi.release"
_ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
"""What MLflow answers where there is no such model, and where it has no such alias."""


class Mlflow(ReleasePlace):
    """``mlflow:models:/NAME@ALIAS``, at MLFLOW_TRACKING_URI; ``mlflow:models:/NAME/VERSION`` never changes."""

    name = "mlflow"
    service = "MLflow"
    check = "is MLFLOW_TRACKING_URI right?"

    def __init__(self, reference: str, root: Path) -> None:
        super().__init__(reference, root)
        found = _REFERENCE.fullmatch(reference)
        if found is None:
            raise KpiError(f'"{self}" names no model of a registry', "write mlflow:models:/NAME@ALIAS")
        self.model, self.alias, self.version = found.groups()
        # Its bar and its log would be written between the lines of whatever asks.
        logging.getLogger("mlflow").setLevel(logging.ERROR)
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        self._mlflow = require("mlflow", "mlflow-skinny", "MLflow")

    @property
    def _client(self) -> Any:
        return self._mlflow.MlflowClient()

    def current(self) -> Move:
        with self.asked():
            try:
                found = self._found()
            except self._mlflow.exceptions.MlflowException as error:
                if error.error_code in _ABSENT and self.version is None:
                    raise NoRelease(f"nothing was released at {self} yet: {reason(error, 200)}") from None
                raise
        try:
            return move_of(json.loads(found.tags[_TAG]))
        except (KeyError, TypeError, ValueError) as error:
            raise KpiError(
                f"{self} is version {found.version} of the model, which `kpi release` did not make",
                "let the alias name one that it made",
            ) from error

    def fixed(self, move: Move) -> str:
        return f"{self.name}:models:/{self.model}/{move.place}"

    def is_there(self, move: Move) -> bool:
        with self.asked():
            place = self._client.get_model_version_download_uri(self.model, move.place)
            return bool(self._mlflow.artifacts.list_artifacts(artifact_uri=place))

    def package(self, digest: str, scratch: Path) -> Path:
        del digest  # what comes is held against it
        with self.asked():
            place = self._client.get_model_version_download_uri(self.model, self._found().version)
            folder = scratch / "mlflow"
            folder.mkdir()
            got = Path(self._mlflow.artifacts.download_artifacts(artifact_uri=place, dst_path=str(folder)))
        archives = [path for path in sorted(got.rglob("*")) if path.is_file() and suffix_of(path)]
        if len(archives) != 1:
            raise KpiError(f"{self} holds {len(archives)} archives, where a package is one")
        return archives[0]

    def moves(self) -> Sequence[Move]:
        with self.asked():
            tags = self._tags()
        return [move_of(json.loads(tags[name])) for name in sorted(tags)]

    def put(self, contents: Contents, move: Move, scratch: Path) -> Move:
        if self.alias is None:
            raise self.not_moved()
        archive = scratch / f"{contents.name}.tar.gz"
        write(contents, archive)
        run = Pushing("").send(contents, archive).partition(":")[2]
        with self.asked():
            client = self._client
            try:
                client.get_registered_model(self.model)
            except self._mlflow.exceptions.MlflowException as error:
                if error.error_code not in _ABSENT:
                    raise
                client.create_registered_model(self.model)
            source = f"{client.get_run(run).info.artifact_uri}/package"
            made = client.create_model_version(self.model, source, run_id=run)
            placed = replace(move, place=str(made.version))
            client.set_model_version_tag(self.model, made.version, _TAG, json.dumps(asdict(placed)))
        return placed

    def move(self, before: Move | None, after: Move) -> None:
        if self.alias is None:
            raise self.not_moved()
        # MLflow moves an alias unconditionally: what is asked before and behind leaves a moment, and tells of it.
        self.check_still(before)
        with self.asked():
            count = len(self._tags())
            self._client.set_registered_model_alias(self.model, self.alias, after.place)
            self._client.set_registered_model_tag(self.model, self._tag(count), json.dumps(asdict(after)))
        self.check_still(after)

    def _found(self) -> Any:
        """The version of the model that the reference names."""
        if self.version is not None:
            return self._client.get_model_version(self.model, self.version)
        return self._client.get_model_version_by_alias(self.model, self.alias)

    def _tags(self) -> dict[str, str]:
        try:
            tags = self._client.get_registered_model(self.model).tags
        except self._mlflow.exceptions.MlflowException as error:
            if error.error_code in _ABSENT:
                return {}
            raise
        return {name: value for name, value in tags.items() if name.startswith(self._tag(0)[:-5])}

    def _tag(self, number: int) -> str:
        return f"kpi.move.{self.alias}.{number:05}"
