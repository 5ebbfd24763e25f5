"""The recipe for a cluster: what the manifests say is valid, and means something to this project."""

from __future__ import annotations

import copy
import importlib.util
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import jsonschema
import pytest
import yaml

from harness.cli.main import _parser
from harness.judge.selection import kinds
from harness.spec.model import DEVICES
from harness.spec.reader import read_spec
from tests.support.project import ROOT, Project

DEPLOY = ROOT / "deploy"
CHART = DEPLOY / "chart"
TOOLS = "pip install -r deploy/requirements.txt"
Values = dict[str, Any]

MANIFESTS = [*yaml.safe_load_all((DEPLOY / "job.yaml").read_text(encoding="utf-8"))]
DEFAULTS: Values = {**yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8")), "run": "run-0"}
SCHEMA = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))


def jobs(manifests: list[Any]) -> dict[str, dict[str, Any]]:
    """The pods of the Jobs, by the last word of their names."""
    found = [m for m in manifests if m["kind"] == "Job"]
    return {m["metadata"]["name"].removeprefix("gate-run-0-"): m["spec"]["template"]["spec"] for m in found}


MEASURING = {name: pod["containers"][0] for name, pod in jobs(MANIFESTS).items() if name != "merge"}
MERGE = jobs(MANIFESTS)["merge"]


def everything() -> Values:
    """Values that reach every line of the templates."""
    values = copy.deepcopy(DEFAULTS)
    for machine in values["machines"].values():
        machine |= {"enabled": True, "groups": [105], "runtimeClassName": "special", "image": "registry/other:1"}
        machine["tolerations"] = [{"key": "kpi", "operator": "Exists", "effect": "NoSchedule"}]
    values |= {"pullSecrets": ["registry"], "pytestArgs": ["--kpi-install"], "sealKey": {"secret": "1", "key": "k"}}
    values["merge"]["nodeSelector"] = {"kpi-machine": "cpu"}
    values["evidence"]["storageClass"] = "fast"
    values["store"]["existingClaim"] = "models"
    values["jobs"] = {
        "labels": {"kueue.x-k8s.io/queue-name": "gate"},
        "annotations": {"argocd.argoproj.io/hook": "Sync"},
    }
    return values


def load() -> ModuleType:
    """deploy/render.py, which wants Helm only when it renders."""
    description = importlib.util.spec_from_file_location("render", DEPLOY / "render.py")
    assert description
    assert description.loader
    module = importlib.util.module_from_spec(description)
    description.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def renderer() -> ModuleType:
    pytest.importorskip("helm_python", reason=TOOLS)
    return load()


def rendered(renderer: ModuleType, values: Values) -> list[Any]:
    made = renderer.render(values)
    return [m for name, text in made.items() if name.endswith(".yaml") for m in yaml.safe_load_all(text) if m]


# ---- values ---------------------------------------------------------------------------------------------------


def broken(**machine: Any) -> Values:
    values = copy.deepcopy(DEFAULTS)
    values["machines"]["npu"] |= machine
    return values


WRONG = {
    "negative memory": broken(memory="-1Gi"),
    "no unit": broken(memory="16"),
    "half a core": broken(cores=1.5),
    "no core": broken(cores=0),
    "unknown device": broken(device="tpu"),
    "any node": broken(nodeSelector={}),
    "unknown resource": broken(devices={"npu": 1}),
    "a typo": broken(core=4),
    "no run": {**DEFAULTS, "run": ""},
    "run is not a name": {**DEFAULTS, "run": "Run 1"},
    "no machines": {**DEFAULTS, "machines": {}},
    "a machine named as the merge": {**DEFAULTS, "machines": {"merge": DEFAULTS["machines"]["cpu"]}},
    "a time without end": {**DEFAULTS, "deadline": 0},
    "evidence elsewhere": {**DEFAULTS, "pytestArgs": ["--kpi-out=/tmp"]},
    "a label that is none": {**DEFAULTS, "jobs": {"labels": {"queue name": "gate"}}},
    "a label with blanks": {**DEFAULTS, "jobs": {"labels": {"queue": "my gate"}}},
    "the chart's own label": {**DEFAULTS, "jobs": {"labels": {"app.kubernetes.io/component": "other"}}},
    "a store by its tag": {**DEFAULTS, "registry": {**DEFAULTS["registry"], "store": "registry/store:latest"}},
    "a registry with a scheme": {**DEFAULTS, "registry": {**DEFAULTS["registry"], "repository": "https://registry/x"}},
}


def test_the_schema_takes_the_defaults_and_knows_the_devices() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    jsonschema.validate(DEFAULTS, SCHEMA)
    jsonschema.validate(everything(), SCHEMA)
    assert SCHEMA["definitions"]["machine"]["properties"]["device"]["enum"] == list(DEVICES)
    assert set(SCHEMA["properties"]) - {"global"} == set(DEFAULTS)


@pytest.mark.parametrize("values", WRONG.values(), ids=WRONG)
def test_the_schema_refuses_wrong_values(values: Values) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(values, SCHEMA)


def test_the_docs_way_without_helm_names_the_run_and_the_image_everywhere() -> None:
    page = (ROOT / "docs/deploy.md").read_text(encoding="utf-8")
    command = re.search(r"^\$ (sed .*) \| kubectl apply", page, re.MULTILINE)
    assert command
    done = subprocess.run(["sh", "-c", command[1]], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not re.search(r"run-0|[^/]kpi-gate:", done.stdout.partition("---")[2])
    assert {m["metadata"]["name"] for m in yaml.safe_load_all(done.stdout)} >= {"gate-r1-merge", "gate-r1-npu"}
    # What holds the evidence for `kubectl cp` names the claim that the chart makes.
    pod = yaml.safe_load((DEPLOY / "collect.yaml").read_text(encoding="utf-8"))
    claim = pod["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"]
    assert claim in {m["metadata"]["name"] for m in MANIFESTS if m["kind"] == "PersistentVolumeClaim"}


# ---- Helm -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("values", WRONG.values(), ids=WRONG)
def test_helm_refuses_wrong_values(renderer: ModuleType, values: Values) -> None:
    import helm_python

    # Helm merges tables into the defaults: there an empty one changes nothing, null removes.
    values = copy.deepcopy(values)
    values["machines"] = values["machines"] or dict.fromkeys(DEFAULTS["machines"])
    for machine in filter(None, values["machines"].values()):
        machine["nodeSelector"] = machine["nodeSelector"] or {"kpi-machine": None}
    with pytest.raises(helm_python.HelmError, match=r"schema|enabled"):
        renderer.render(values)


def test_helm_refuses_what_would_measure_nothing_or_share_a_name(renderer: ModuleType) -> None:
    import helm_python

    off = {name: {"enabled": False} for name in DEFAULTS["machines"]}
    with pytest.raises(helm_python.HelmError, match="no machine is enabled"):
        renderer.render({"run": "run-0", "machines": off})
    chart = helm_python.Chart.load(CHART)
    with chart, pytest.raises(helm_python.HelmError, match="longer than 63"):
        chart.render({"run": "r" * 24}, name="g" * 40)


def test_helm_finds_nothing_to_complain_about(renderer: ModuleType) -> None:
    import helm_python

    assert renderer
    report = helm_python.lint(CHART, everything(), strict=True)
    assert report["errors"] == []
    assert {m["error"] for m in report["messages"]} <= {"icon is recommended"}


def test_plain_manifests_are_those_of_this_chart() -> None:
    said = re.search(r"^# chart: (\w+)$", (DEPLOY / "job.yaml").read_text(encoding="utf-8"), re.MULTILINE)
    assert said
    assert said[1] == load().digest(), "python deploy/render.py > deploy/job.yaml"


def test_plain_manifests_are_what_helm_renders(renderer: ModuleType) -> None:
    assert (DEPLOY / "job.yaml").read_text(encoding="utf-8") == renderer.manifests()


@pytest.mark.skipif(not shutil.which("helm"), reason="helm is not on the PATH; see https://helm.sh")
def test_the_helm_program_renders_the_same() -> None:
    command = ["helm", "template", "gate", str(CHART), "--namespace=default", "--set=run=run-0"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    found = [m for m in yaml.safe_load_all(done.stdout) if m]
    assert sorted(found, key=json.dumps) == sorted(MANIFESTS, key=json.dumps)


# ---- Kubernetes -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def check() -> Callable[..., str]:
    validate: Callable[..., str] = pytest.importorskip("kubernetes_validate", reason=TOOLS).validate
    return validate


@pytest.mark.parametrize("version", ["1.26", "1.30", "1.34", "1.37"])
def test_plain_manifests_fit_kubernetes(check: Callable[..., str], version: str) -> None:
    for manifest in [*MANIFESTS, yaml.safe_load((DEPLOY / "collect.yaml").read_text(encoding="utf-8"))]:
        check(manifest, version, strict=True)


@pytest.mark.parametrize("version", ["1.26", "1.37"])
def test_rendered_manifests_fit_kubernetes(check: Callable[..., str], renderer: ModuleType, version: str) -> None:
    found = rendered(renderer, everything())
    for manifest in found:
        check(manifest, version, strict=True)
    assert set(jobs(found)) == {*DEFAULTS["machines"], "merge"}
    assert [m["metadata"]["name"] for m in found if m["kind"] == "PersistentVolumeClaim"] == ["gate-evidence"]
    environment = jobs(found)["npu"]["containers"][0]["env"]
    assert environment == [{"name": "KPI_SEAL_KEY", "valueFrom": {"secretKeyRef": {"name": "1", "key": "k"}}}]


@pytest.mark.parametrize("version", ["1.26", "1.37"])
def test_labels_and_annotations_are_those_of_all_jobs(
    check: Callable[..., str], renderer: ModuleType, version: str
) -> None:
    found = rendered(renderer, everything())
    described = [m["metadata"] for m in found if m["kind"] == "Job"]
    assert len(described) == len(DEFAULTS["machines"]) + 1
    for metadata in described:
        assert metadata["labels"]["kueue.x-k8s.io/queue-name"] == "gate"
        assert metadata["labels"]["app.kubernetes.io/component"] in ("measure", "merge")
        assert metadata["annotations"] == {"argocd.argoproj.io/hook": "Sync"}
    for manifest in found:
        check(manifest, version, strict=True)


def test_kubernetes_would_refuse_a_wrong_manifest(check: Callable[..., str]) -> None:
    import kubernetes_validate

    right = next(m for m in MANIFESTS if m["kind"] == "Job")
    for change in ({"kind": "Jobb"}, {"apiVersion": "batch/v2"}):
        with pytest.raises(kubernetes_validate.SchemaNotFoundError):
            check({**right, **change}, "1.37", strict=True)
    for change in ({"backoffLimit": "none"}, {"backofLimit": 0}, {"template": "none"}):
        with pytest.raises(kubernetes_validate.ValidationError):
            check({**right, "spec": {**right["spec"], **change}}, "1.37", strict=True)


def test_pods_are_guaranteed_their_cores_and_have_no_rights() -> None:
    for container in MEASURING.values():
        resources = container["resources"]
        assert resources["requests"] == resources["limits"]
        assert int(resources["limits"]["cpu"]) >= 1
        assert re.fullmatch(r"[1-9]\d*Gi", resources["limits"]["memory"])
    for pod in jobs(MANIFESTS).values():
        assert pod["securityContext"]["runAsNonRoot"]
        assert not pod["automountServiceAccountToken"]
        for container in pod["containers"] + pod.get("initContainers", []):
            assert container["securityContext"]["readOnlyRootFilesystem"]
    for manifest in MANIFESTS:
        assert manifest["kind"] != "Job" or manifest["spec"]["backoffLimit"] == 0


def test_devices_are_asked_for() -> None:
    asked = {name: set(c["resources"]["limits"]) - {"cpu", "memory"} for name, c in MEASURING.items()}
    assert asked == {"cpu": set(), "gpu": {"nvidia.com/gpu"}, "npu": {"npu.intel.com/accel"}}


# ---- the commands, as the project itself understands them -----------------------------------------------------


def collect(project: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments, "--collect-only", "--quiet"]
    return subprocess.run(
        command, cwd=ROOT, env=project.variables, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.parametrize("name", MEASURING)
def test_pytest_selects_what_was_promised_for_the_device(project: Project, name: str) -> None:
    done = collect(project, *MEASURING[name]["args"])
    assert done.returncode == 0, done.stdout + done.stderr
    spec = read_spec(ROOT / "kpis.toml")
    wanted = {t.id for t in spec.targets if spec.machines[t.machine].device == MEASURING[name]["args"][1]}
    assert {found[1] for found in re.finditer(r"\[(.+)\]$", done.stdout, re.MULTILINE)} == wanted
    assert wanted


@pytest.mark.parametrize("change", [("--kpi-release", "--kpi-relase"), ("cpu", "cpu and"), ("cpu", "tpu")])
def test_pytest_refuses_a_wrong_command(project: Project, change: tuple[str, str]) -> None:
    arguments = [change[1] if a == change[0] else a for a in MEASURING["cpu"]["args"]]
    # 4: a mistake in the call; 5: nothing collected, what a name that is not a device comes to.
    assert collect(project, *arguments).returncode in (4, 5)


def test_every_device_is_a_marker_and_none_is_a_kind() -> None:
    assert {machine["device"] for machine in DEFAULTS["machines"].values()} == set(DEVICES)
    assert not set(DEVICES) & set(kinds())


def test_the_merge_asks_for_what_the_machines_leave() -> None:
    merge = MERGE["containers"][0]
    assert merge["command"] == ["kpi", "merge"]
    chosen = _parser().parse_args([*merge["command"][1:], *merge["args"]])
    outs = [a.partition("=")[2] for c in MEASURING.values() for a in c["args"] if a.startswith("--kpi-out=")]
    assert chosen.files == [Path(out) / "evidence.json" for out in outs]
    # Each run has a folder of its own, or evidence of an earlier one could stand in for one that did not finish.
    assert {path.parts[2] for path in [*chosen.files, chosen.out]} == {"run-0"}
    assert MERGE["initContainers"][0]["args"][1:] == [str(path) for path in chosen.files]
    with pytest.raises(SystemExit):
        _parser().parse_args(["merge", "--out", "/evidence"])


@pytest.mark.suite
def test_the_jobs_one_after_the_other(project: Project, tmp_path: Path) -> None:
    """All Jobs on this machine, on a small project: the very arguments, with the claim's folder put elsewhere."""

    def here(arguments: list[str]) -> list[str]:
        return [a.replace("/evidence/", f"{tmp_path}/claim/").replace("=21600", "=0") for a in arguments]

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *command],
            cwd=project.folder,
            env=project.variables,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    project.change('"latency.p50" = "< 50 ms"\n', "")  # what is quick to prove
    wait = [str(DEPLOY / "wait.py"), *here(MERGE["initContainers"][0]["args"])]
    merge = ["-m", "harness.cli.main", "merge", *here(MERGE["containers"][0]["args"])]
    # The image's own --kpi-out comes before the Job's, which must win.
    first = here(["--kpi-out=/evidence/latest"])
    codes = {name: project.pytest(*first, *here(c["args"])).returncode for name, c in MEASURING.items()}
    assert [path.name for path in (tmp_path / "claim").iterdir()] == ["run-0"]
    # This project promises nothing for a GPU or an NPU: nothing is collected there, which is not green either.
    assert codes == {"cpu": 0, "gpu": 5, "npu": 5}
    done = run(*wait)
    assert (done.returncode, done.stderr) == (0, "")
    done = run(*merge)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "claim/run-0/merged/evidence.json").exists()
    (tmp_path / "claim/run-0/npu/evidence.json").unlink()
    done = run(*wait)
    assert done.returncode == 1
    assert done.stderr.strip().endswith("npu/evidence.json")
    assert run(*merge).returncode == 1
