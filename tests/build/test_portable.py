"""The same model makes the same files on every machine: no folder of this one is in them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.build.worker import _remove_folders
from tests.support.project import ROOT, make_project


@pytest.mark.suite
def test_two_places_make_one_artifact(tmp_path: Path) -> None:
    digests = []
    for name in ("here", "somewhere/with/a/longer/name"):
        (tmp_path / name).mkdir(parents=True)
        project = make_project(tmp_path / name, tmp_path / name / "store")
        project.store.mkdir()
        done = project.cli("build")
        assert done.returncode == 0, done.stderr
        manifests = list(project.store.glob("objects/*/manifest.json"))
        made = [json.loads(file.read_text(encoding="utf-8")) for file in manifests]
        digests.append({m["notes"]["step"]["pass"]: m["digest"] for m in made if "step" in m["notes"]})
        for file in project.store.glob("objects/*/*"):
            if file.is_file() and file.name != "manifest.json":
                content = file.read_bytes()
                assert not [place for place in (tmp_path, ROOT, Path.home()) if str(place).encode() in content], file
    assert digests[0] == digests[1]
    assert set(digests[0]) >= {"onnx", "onnx-static-int8"}


def test_settings_that_name_a_folder_lose_it(tmp_path: Path) -> None:
    source, out = tmp_path / "source", tmp_path / "source/out"
    out.mkdir(parents=True)
    (out / "config.json").write_text(
        json.dumps({"tokenizer": f"{source}/", "out": str(out), "bits": 8}), encoding="utf-8"
    )
    (out / "odd.json").write_bytes(b"\xff{}")
    _remove_folders(out, [source, out])
    assert json.loads((out / "config.json").read_text(encoding="utf-8")) == {"tokenizer": "./", "out": ".", "bits": 8}
    assert (out / "odd.json").read_bytes() == b"\xff{}"
