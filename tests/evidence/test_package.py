"""A proven KPI is packed, the same bytes each time; what is not proven, gone or damaged is refused in one line."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.build.store import Store
from harness.core.file_names import file_name
from harness.evidence.package.card import card
from harness.evidence.package.contents import collect
from harness.evidence.package.front_matter import read_verdicts, scalar
from harness.evidence.package.pushing import oras_command
from harness.evidence.package.verifying import verify
from harness.spec.tasks import tasks
from tests.support.edited_evidence import forge
from tests.support.packages import PROVEN, Done, artifact, kpi
from tests.support.plain_evidence import as_evidence
from tests.support.project import Project


def one_line(done: Done) -> str:
    """What the command said when it refused."""
    assert done.returncode == 1, done.stdout
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    return line


def left(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {".kpi", "kpis.toml"}


@pytest.mark.suite
@pytest.mark.parametrize("out", ["folder", "one.zip", "one.tar.gz", "new/two.tgz"])
def test_a_proven_kpi_is_packed_and_verified_the_same_each_time(here: Project, out: str) -> None:
    assert kpi(here, "package", PROVEN, "--out", out).returncode == 0
    path = here.folder / out
    found = verify(path)
    assert (found.differences, found.unproven, found.kpi) == ([], "", PROVEN)
    before = path.read_bytes() if path.is_file() else (path / "package.json").read_bytes()
    os.utime(here.folder / ".kpi/latest/evidence.json")
    assert kpi(here, "package", PROVEN, "--out", out).returncode == 0
    assert (path.read_bytes() if path.is_file() else (path / "package.json").read_bytes()) == before
    done = kpi(here, "verify", out)
    assert done.returncode == 0
    assert done.stdout.startswith(f"OK: {PROVEN}, 6 files, sha256 {found.digest}")
    assert {path.name for path in path.parent.glob(".kpi-package-*")} == set()


@pytest.mark.suite
def test_archives_and_folder_hold_the_same(here: Project) -> None:
    for out in ("a", "a.zip", "a.tar.gz"):
        assert kpi(here, "package", PROVEN, "--out", out).returncode == 0
    with zipfile.ZipFile(here.folder / "a.zip") as archive:
        archive.extractall(here.folder / "b")
    with tarfile.open(here.folder / "a.tar.gz") as tarred:
        tarred.extractall(here.folder / "c", filter="data")
    for copy in ("b", "c"):
        assert verify(here.folder / copy).differences == []
        for path in (here.folder / "a").rglob("*"):
            if path.is_file():
                assert (here.folder / copy / path.relative_to(here.folder / "a")).read_bytes() == path.read_bytes()


@pytest.mark.suite
def test_the_card_is_one_that_the_hub_reads(here: Project) -> None:
    hub = pytest.importorskip("huggingface_hub")
    assert kpi(here, "package", PROVEN).returncode == 0
    file = here.folder / PROVEN / "README.md"
    data = hub.ModelCard.load(file).data
    assert (data.license, data.library_name, data.pipeline_tag) == ("apache-2.0", "onnx", "image-classification")
    values = {result.metric_name: result.metric_value for result in data.eval_results}
    evidence = json.loads((here.folder / ".kpi/latest/evidence.json").read_text(encoding="utf-8"))
    for target in evidence["targets"]:
        if target["kpi"] == PROVEN:
            assert values[f"{target['metric']} {target['bound']}"] == target["value"]
    text = file.read_text(encoding="utf-8")
    for said in (
        "| PASS | latency.p50 |",
        "onnx-static-int8",
        "calibration = 64",
        "Apache-2.0, says the workload's table",
    ):
        assert said in text
    assert "Apache-2.0" in (file.parent / "LICENCES.md").read_text(encoding="utf-8")


@pytest.mark.suite
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("stripes/too big", "stripes/too big:size is FAIL: "),
        ("elsewhere", "elsewhere:p50 is OFF_TARGET: cpu is "),
        ("no-gpu", "no-gpu:p50 is UNAVAILABLE: this machine has no gpu"),
    ],
)
def test_what_is_not_proven_is_refused_with_its_binding_target(here: Project, name: str, said: str) -> None:
    line = one_line(kpi(here, "package", name))
    assert f"{name} is not proven: {said}" in line
    assert left(here.folder) == set()


@pytest.mark.suite
def test_force_is_written_on_everything(here: Project) -> None:
    done = kpi(here, "package", "stripes/too big", "--force", "--out", "x.zip")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("NOT PROVEN: stripes/too big:size is FAIL")
    assert left(here.folder) == {"x-not-proven.zip"}
    assert kpi(here, "package", "stripes/too big", "--force").returncode == 0
    folder = here.folder / f"{file_name('stripes/too big')}-not-proven"
    manifest = json.loads((folder / "package.json").read_text(encoding="utf-8"))
    assert (manifest["forced"], manifest["proven"]) == (True, False)
    assert "size is FAIL" in manifest["binding"]
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "# stripes/too big (NOT PROVEN)\n\n> **NOT PROVEN: packed with `--force`.**" in card
    refused = kpi(here, "verify", str(folder))
    assert refused.returncode == 1
    assert "NOT PROVEN: stripes/too big:size is FAIL" in refused.stdout
    assert kpi(here, "verify", str(folder), "--force").returncode == 0
    # A proven KPI is not marked by it.
    assert kpi(here, "package", PROVEN, "--force").returncode == 0
    assert (here.folder / PROVEN).is_dir()


def damage(project: Project) -> None:
    file = artifact(project) / "model.onnx"
    file.write_bytes(file.read_bytes()[:-1] + b"!")


def edit(project: Project) -> None:
    file = project.folder / ".kpi/latest/evidence.json"
    text = file.read_text(encoding="utf-8")
    assert '"n":1000' in text
    file.write_text(text.replace('"n":1000', '"n":1001', 1), encoding="utf-8")


@pytest.mark.suite
@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda p: shutil.rmtree(artifact(p)), "is not in the store"),
        (damage, "in the store is damaged: model.onnx of artifact"),
        (edit, "was changed after it was sealed"),
        (lambda p: (p.folder / ".kpi/latest/evidence.json").unlink(), "run pytest first"),
        (lambda p: (p.folder / PROVEN).write_text("mine"), "is a file"),
        (lambda p: (p.folder / PROVEN / "thesis").mkdir(parents=True), "is there already and is not a package"),
    ],
)
def test_what_does_not_fit_is_refused_even_with_force(
    here: Project, spoil: Callable[[Project], object], said: str
) -> None:
    spoil(here)
    before = left(here.folder)
    assert said in one_line(kpi(here, "package", PROVEN, "--force"))
    assert left(here.folder) == before


@pytest.mark.suite
def test_a_verdict_that_does_not_follow_is_refused(here: Project) -> None:
    def edit(data: dict[str, Any]) -> None:
        for target in data["targets"]:
            if target["metric"] == "size" and target["verdict"] == "FAIL":
                target["verdict"] = "PASS"

    file = here.folder / ".kpi/latest/evidence.json"
    forge(file, file, edit)
    line = one_line(kpi(here, "package", "stripes/too big"))
    assert "PASS is said, FAIL follows from the samples" in line


@pytest.mark.suite
def test_an_unknown_kpi_is_a_mistake_in_the_call(here: Project) -> None:
    done = kpi(here, "package", "stripes-int9")
    assert done.returncode == 4
    assert 'did you mean "stripes-int8"' in done.stderr


@pytest.mark.suite
def test_a_full_disk_leaves_nothing_half_written(here: Project) -> None:
    full = Path("/dev/shm/kpi-package-full")  # noqa: S108
    if os.geteuid() or not shutil.which("mount"):
        pytest.skip("only root may mount a disk that is too small")
    full.mkdir(exist_ok=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "none", str(full)], check=False)
    if mounted.returncode:
        pytest.skip("this system lets nobody mount a small disk")
    try:
        for out in ("p", "p.zip", "p.tar.gz"):
            line = one_line(kpi(here, "package", PROVEN, "--out", str(full / out)))
            assert "can't be written: No space left on device" in line
            assert list(full.iterdir()) == []
    finally:
        subprocess.run(["umount", str(full)], check=True)


@pytest.mark.suite
def test_a_place_that_can_not_be_written_is_one_line(here: Project) -> None:
    line = one_line(kpi(here, "package", PROVEN, "--out", "/proc/package.zip"))
    assert "/proc/package.zip can't be written: " in line
    (here.folder / "file").write_text("", encoding="utf-8")
    assert "can't be written: " in one_line(kpi(here, "package", PROVEN, "--out", "file/p.zip"))


@pytest.mark.suite
@pytest.mark.parametrize("out", ["p", "p.zip"])
def test_a_push_to_a_folder_copies_what_can_be_verified(here: Project, tmp_path: Path, out: str) -> None:
    there = tmp_path / "shelf"
    for target in (str(there), there.as_uri()):
        done = kpi(here, "package", PROVEN, "--out", out, "--push", target)
        assert done.returncode == 0, done.stderr
        assert f"pushed to {there / out}" in done.stdout
        assert verify(there / out).differences == []
    assert {path.name for path in there.iterdir()} == {out}


@pytest.mark.suite
@pytest.mark.parametrize(
    ("target", "module", "said"),
    [
        ("oci://localhost:5000/models/stripes", "oras", "oras is not installed (go install oras.land/oras/cmd/oras@"),
        ("mlflow:models", "mlflow", "mlflow is not installed (pip install mlflow-skinny)"),
        ("azureml:stripes", "azure", "azure.ai.ml is not installed (pip install azure-ai-ml azure-identity)"),
        ("ftp://somewhere", "", 'nothing is known of "ftp:"'),
    ],
)
def test_a_missing_client_is_said_before_anything_is_packed(here: Project, target: str, module: str, said: str) -> None:
    from importlib.util import find_spec

    if module == "oras" and shutil.which("oras"):
        here.environment["PATH"] = "/nowhere"
    if module not in ("", "oras") and find_spec(module):
        pytest.skip(f"{module} is installed here")
    assert said in one_line(kpi(here, "package", PROVEN, "--push", target))
    assert left(here.folder) == set()


@pytest.mark.suite
@pytest.mark.parametrize("out", ["p", "p.zip"])
def test_oras_is_asked_for_every_file_by_its_name(here: Project, out: str) -> None:
    contents = collect(PROVEN, here.folder / ".kpi/latest/evidence.json", Store(here.store), force=False)
    command, reference = oras_command("oras", "//localhost:5000/models/stripes", contents, here.folder / out)
    assert reference == f"localhost:5000/models/stripes:{contents.digest[:12]}"
    assert command[:2] == ["oras", "push"]
    assert "--plain-http" in command
    assert f"kpi.artifact=sha256:{contents.artifact}" in command
    named = command[command.index(reference) + 1 :]
    wanted = [out] if out == "p.zip" else sorted(contents.files)
    assert named == [f"{name}:application/octet-stream" for name in wanted]
    assert (
        oras_command("oras", "//registry.example/a/b:v1", contents, here.folder / out)[1] == "registry.example/a/b:v1"
    )
    assert "--plain-http" not in oras_command("oras", "//registry.example/a/b", contents, here.folder / out)[0]


@pytest.mark.suite
def test_mlflow_keeps_package_and_values(here: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow")
    here.environment["MLFLOW_TRACKING_URI"] = (tmp_path / "runs").as_uri()
    here.environment["MLFLOW_ALLOW_FILE_STORE"] = "true"
    done = kpi(here, "package", PROVEN, "--out", "p.zip", "--push", "mlflow:released")
    assert done.returncode == 0, done.stderr
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow.set_tracking_uri(here.environment["MLFLOW_TRACKING_URI"])
    run = mlflow.get_run(done.stdout.partition("pushed to mlflow:")[2].strip())
    assert run.data.tags["kpi.proven"] == "yes"
    assert run.data.metrics["size"] > 0


@pytest.mark.parametrize("name", ["a" * 300, "../../etc", "a/b", "\u202eevil", "\U0001f4a5", ".", "con:", "x y"])
def test_any_name_makes_a_file_name(name: str) -> None:
    made = file_name(name)
    assert len(made) < 100
    assert made not in ("", ".", "..")
    assert set(made) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
    assert file_name(name) == made != file_name(f"{name}!")


@pytest.mark.parametrize(
    "value", [1e-05, -3e22, 1.5e-7, 12, True, None, "1e5: \u2028 \x85 \U0001f4a5 'x' \"y\" \\", ["a", {"b": 1e16}]]
)
def test_front_matter_is_json_and_yaml_at_once(value: object) -> None:
    yaml = pytest.importorskip("yaml")
    assert json.loads(scalar(value)) == value
    assert yaml.safe_load(f"x: {scalar(value)}") == {"x": value}


def test_every_task_has_a_name_on_the_hub() -> None:
    assert [task.name for task in tasks().values() if task.hub == "other"] == ["multi-label-classification", "tensors"]


@pytest.mark.suite
def test_hostile_words_are_harmless_in_a_card(here: Project) -> None:
    evidence = json.loads((here.folder / ".kpi/latest/evidence.json").read_text(encoding="utf-8"))
    name = "<script>alert(1)</script> | `x` \u202eevil\U0001f4a5" + "long" * 30
    for entry in (*evidence["kpis"], *evidence["targets"]):
        changed = {key: name for key in ("kpi", "name") if entry.get(key) == PROVEN}
        entry.update(changed, **({"id": entry["id"].replace(PROVEN, name)} if "id" in entry else {}))
    manifest = json.loads((artifact(here) / "manifest.json").read_text(encoding="utf-8"))
    manifest["notes"]["about"] = {"weights": "</td><img src=x onerror=y>", "licence": "---\n<b>"}
    evidence["workloads"] = []
    text = card(name, as_evidence(evidence), manifest, 1, binding="", forced=True)
    assert not re.search(r"<[A-Za-z/!?]", text)
    assert "\u202e" not in text
    assert {entry["id"].removeprefix(name) for entry in read_verdicts(text)} >= {":size", ":p50"}
    yaml = pytest.importorskip("yaml")
    front = yaml.safe_load(text.split("\n---\n")[0])
    assert front["model-index"][0]["name"] == name
    assert front["license_name"] == "---\n<b>"


@pytest.mark.parametrize(
    "card", ["", "# x", "---\n---\n", "---\nkpi_verdicts:\n- {\n---\n", "---\nkpi_verdicts:\n- 1\n---"]
)
def test_a_card_without_verdicts_is_noticed(card: str) -> None:
    with pytest.raises(ValueError, match=r"front matter|verdict|Expecting"):
        read_verdicts(card)
