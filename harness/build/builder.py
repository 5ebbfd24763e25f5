"""Makes artifacts: runs a recipe's passes in worker processes, each result kept in the store by content."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from harness.build.artifact import Artifact
from harness.build.environments import Environments, Interpreter
from harness.build.passes import faithful, passes
from harness.build.passes.base import Pass
from harness.build.store import Store
from harness.core.errors import KpiError, Unavailable
from harness.core.imports import code_digest
from harness.core.processes import call_worker
from harness.core.registry import source_files
from harness.spec.model import PassSpec, Recipe, Spec, WorkloadSpec
from harness.workloads.base import Settings
from harness.workloads.chat_template import NONE, read_file

_MODULE = "harness.build.worker"
_PASS_TIMEOUT_S = 2 * 3600.0
_DESCRIBE_TIMEOUT_S = 600.0


class Builder:
    """Artifacts of one ``kpis.toml``: each built once, here or earlier."""

    def __init__(
        self, spec: Spec, store: Store, environments: Environments, log: Path, progress: Callable[[str], None]
    ) -> None:
        self.spec = spec
        self.store = store
        self.environments = environments
        self.log = log
        self.progress = progress
        self._described: dict[str, dict[str, Any] | KpiError] = {}
        self._failed: dict[str, KpiError] = {}
        self._settled: dict[str, tuple[Mapping[str, Any], Mapping[str, str]]] = {}

    def settings(self, workload: WorkloadSpec) -> dict[str, Any]:
        """The workload's settings as a worker reads them."""
        made = Settings(
            name=workload.name,
            task=workload.task,
            checkpoint=Path(workload.checkpoint) if workload.checkpoint else None,
            checkpoint_sha256=workload.checkpoint_sha256,
            model=workload.model,
            data=Path(workload.data) if workload.data else None,
            allow_pickle=workload.allow_pickle,
            trust_remote_code=workload.trust_remote_code,
            chat_template=workload.chat_template,
            data_files=workload.data_files,
            scored=workload.scored,
            constants=workload.constants,
            state=workload.state,
            batch_axis=workload.batch_axis,
            task_options=workload.task_options,
            cache=self.store.root / "data",
        )
        plain: dict[str, Any] = json.loads(json.dumps(asdict(made), default=str))
        return plain

    def origin(self, workload: WorkloadSpec) -> dict[str, Any]:
        """What a worker needs to load the workload."""
        return {
            "root": str(self.spec.root.resolve()),
            "fixture": workload.fixture,
            "settings": self.settings(workload),
        }

    def describe(self, workload: WorkloadSpec) -> dict[str, Any]:
        """The workload's identity and origin, asked once; raises what asking raised, every time."""
        if workload.name not in self._described:
            try:
                request = {"op": "describe", **self.origin(workload)}
                self._described[workload.name] = call_worker(
                    _MODULE, request, log=self.log, timeout=_DESCRIBE_TIMEOUT_S
                )
            except KpiError as error:
                self._described[workload.name] = error
        found = self._described[workload.name]
        if isinstance(found, KpiError):
            raise found
        return found

    def artifact(self, recipe: Recipe) -> Artifact:
        """The artifact of a recipe, every pass before the first missing one taken from the store."""
        if recipe.key in self._failed:
            raise self._failed[recipe.key]
        try:
            return self._artifact(recipe)
        except KpiError as error:
            self._failed[recipe.key] = error
            raise

    def _artifact(self, recipe: Recipe) -> Artifact:
        origin = self._identity(self.spec.workloads[recipe.workload])
        # What is not installed is told before the first pass has taken its time.
        steps = [(s, self.environments.interpreter(passes()[s.name].environment)) for s in recipe.passes]
        made: Artifact | None = None
        for step, interpreter in steps:
            cls = passes()[step.name]
            versions = {name: interpreter.version(name) for name in cls.requires}
            if missing := " ".join(name for name, version in versions.items() if version is None):
                raise Unavailable(f'pass "{step.name}" needs {missing}', _remedy(cls, missing))
            options, digests = self._settle(cls, step)
            identity = {
                "workload": origin,
                "before": made.digest if made else None,
                "pass": step.name,
                "code": code_digest(*source_files(cls)),
                "comparison": code_digest(*source_files(faithful.Comparison)),
                "options": {**options, **digests},
                "libraries": versions,
            }
            if cls.by_name:
                identity["name"] = recipe.workload
            made = self._step(recipe, replace(step, options=options), made, _key(identity), interpreter)
        if made is None:
            raise KpiError(f"recipe {recipe.key} has no passes")
        return made

    def _settle(self, cls: type[Pass], step: PassSpec) -> tuple[Mapping[str, Any], Mapping[str, str]]:
        """What the pass is run with, and digests of what its options name: what moves is looked up once."""
        key = json.dumps([step.name, dict(step.options)], sort_keys=True, default=str)
        if key not in self._settled:
            self._settled[key] = cls.settled(self.spec.root, step.options)
        return self._settled[key]

    def _step(
        self, recipe: Recipe, step: PassSpec, source: Artifact | None, key: str, interpreter: Interpreter
    ) -> Artifact:
        def build(aside: Path) -> None:
            what = f"build {recipe.key}: {step.name}"
            self.progress(what)
            work = self.store.work(key)
            request = {
                "op": "pass",
                "work": str(work),
                "pass": step.name,
                "options": dict(step.options),
                "source": str(source.path) if source else None,
                "out": str(aside),
                "key": key,
                **self.origin(self.spec.workloads[recipe.workload]),
            }
            call_worker(
                _MODULE,
                request,
                log=self.log,
                timeout=_PASS_TIMEOUT_S,
                python=interpreter.python,
                environment=interpreter.environment,
                progress=lambda text: self.progress(f"{what}: {text}"),
            )
            shutil.rmtree(work, ignore_errors=True)

        return self.store.obtain(key, build)

    def _identity(self, workload: WorkloadSpec) -> dict[str, Any]:
        """What artifacts of a workload depend on: its content, not where a file happens to lie."""
        described = self.describe(workload)
        identity = {"task": workload.task, "fingerprint": described["fingerprint"], "code": described["code"]}
        if workload.task_options:
            identity["task_options"] = workload.task_options
        if workload.chat_template is not None:
            named = workload.chat_template
            identity["chat_template"] = named if named == NONE else read_file(named)
        return identity

    def samples(self, workload: WorkloadSpec) -> Artifact:
        """The request samples of a workload: one array per input, as the model takes them."""
        key = _key({"samples": self._identity(workload), "training": 1})

        def build(aside: Path) -> None:
            self.progress(f"request samples of {workload.name}")
            request = {"op": "samples", "out": str(aside), "key": key, **self.origin(workload)}
            call_worker(_MODULE, request, log=self.log, timeout=_DESCRIBE_TIMEOUT_S)

        return self.store.obtain(key, build)


def _remedy(cls: type[Pass], missing: str) -> str:
    if cls.environment is None:
        return f"pip install {missing}"
    return f"add it to the requirement file of {cls.environment}, then kpi env create {cls.environment}"


def _key(identity: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(identity, sort_keys=True, default=str).encode()).hexdigest()
