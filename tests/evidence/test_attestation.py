"""A stranger checks verdicts with the public key alone; what was changed, left out or put in is found."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.changed_bytes import main as changed_bytes
from harness.build.artifact import files_digest
from harness.core.strict_json import canonical
from harness.evidence.attestation.envelope import PAYLOAD_TYPE, signed
from harness.evidence.attestation.keys import PASSPHRASE, make_keys, read_private, read_public
from harness.evidence.package.verifying import verify
from harness.evidence.seal import KEY_VARIABLE, sealed_record
from tests.evidence.test_envelope import other_spelling
from tests.evidence.test_package_archives import zipped
from tests.support.edited_evidence import forge
from tests.support.packages import PROVEN, kpi
from tests.support.project import ROOT, Project

pytestmark = pytest.mark.suite  # each starts from a run that proved a KPI

MODEL, STATEMENT, SIGNATURE = "artifact/model.onnx", "attestation.intoto.jsonl", "model.sig"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two pairs."""
    folder: Path = tmp_path_factory.mktemp("keys")
    make_keys(folder / "k")
    make_keys(folder / "thief")
    return folder


@pytest.fixture(scope="module")
def packed(proven_run: Project, keys: Path) -> Path:
    """A signed package as a folder, for all tests of this file."""
    out = keys / "packed" / "p"
    done = kpi(proven_run, "package", PROVEN, "--out", str(out), "--key", str(keys / "k.pem"))
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture
def folder(packed: Path, tmp_path: Path) -> Path:
    """A copy that a test may break."""
    return Path(shutil.copytree(packed, tmp_path / "p"))


def differences(path: Path, keys: Path) -> list[str]:
    return verify(path, read_public(keys / "k.pub")).differences


def relist(folder: Path, change: Callable[[dict[str, Any]], None] = lambda _: None) -> None:
    """What somebody does who can edit everything but has no key: lists all files again, and seals the list."""
    file = folder / "package.json"
    data = json.loads(file.read_text(encoding="utf-8"))
    data.pop("seal")
    every = sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in (file.name, SIGNATURE))
    data["files"] = {
        path.relative_to(folder).as_posix(): {
            "size": path.stat().st_size,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
        for path in every
    }
    data["digest"] = files_digest(data["files"])
    change(data)
    file.write_text(json.dumps(sealed_record(data, None)), encoding="utf-8")


def test_a_signed_package_is_verified_with_the_public_key_alone(here: Project, keys: Path, tmp_path: Path) -> None:
    for out in ("a", "a.zip", "a.tar.gz"):
        assert kpi(here, "package", PROVEN, "--out", out, "--key", str(keys / "k.pem")).returncode == 0
        shutil.move(here.folder / out, tmp_path / out)
    stranger = Project(tmp_path / "elsewhere", tmp_path / "no-store")
    stranger.folder.mkdir()
    keyid = read_public(keys / "k.pub").statement.keyid
    for out in ("a", "a.zip", "a.tar.gz"):
        done = kpi(stranger, "verify", str(tmp_path / out), "--public-key", str(keys / "k.pub"))
        assert done.stdout.startswith(f"OK: {PROVEN}, 9 files, sha256 "), done.stdout
        assert done.stdout.endswith(f"signed with the key {keyid[:12]}\n")
        assert done.returncode == 0
    # Without the key it is whole, and that it was signed is said to be unchecked.
    done = kpi(stranger, "verify", str(tmp_path / "a"))
    assert (done.returncode, done.stdout.splitlines()[-1]) == (
        0,
        "it is signed, which was not checked: name the signer's key with --public-key",
    )
    assert not (tmp_path / "no-store").exists()
    assert list(stranger.folder.iterdir()) == []
    assert {path.name for path in here.folder.iterdir()} == {".kpi", "kpis.toml"}


def test_what_kpis_toml_said_is_in_it_and_must_be_what_the_run_was_judged_by(here: Project, keys: Path) -> None:
    assert kpi(here, "package", PROVEN, "--out", "p", "--key", str(keys / "k.pem")).returncode == 0
    assert (here.folder / "p/kpis.toml").read_bytes() == here.toml.read_bytes()
    shutil.rmtree(here.folder / "p")
    here.change('"size" = "< 1 kB"', '"size" = "< 1 GB"')
    done = kpi(here, "package", PROVEN, "--out", "p", "--key", str(keys / "k.pem"))
    assert done.returncode == 1
    assert done.stderr == (
        "error: kpis.toml is not what the run was judged by: it was changed since (restore it, or run again)\n"
    )
    assert not (here.folder / "p").exists()


def test_a_statement_of_its_own(here: Project, keys: Path) -> None:
    evidence, private = ".kpi/latest/evidence.json", str(keys / "k.pem")
    done = kpi(here, "attest", evidence, "--key", private)
    assert done.returncode == 1  # one KPI measured no artifact
    assert "no-gpu: no statement: the evidence measured no artifact of no-gpu" in done.stdout
    file = here.folder / f".kpi/latest/{PROVEN}.intoto.jsonl"
    data = json.loads(base64.b64decode(json.loads(file.read_bytes())["payload"]))
    stated = data["predicate"]
    assert stated["criteria"]["sha256"] == hashlib.sha256(here.toml.read_bytes()).hexdigest()
    assert stated["evidence"]["sha256"] == hashlib.sha256((here.folder / evidence).read_bytes()).hexdigest()
    assert stated["proven"]
    assert {verdict["verdict"] for verdict in stated["verdicts"]} == {"PASS"}
    p50 = next(verdict for verdict in stated["verdicts"] if verdict["metric"] == "latency.p50")
    assert p50["low"] <= p50["value"] <= p50["high"] < p50["limit"]
    assert (p50["attempt"], p50["unit"], p50["of"]) == (1, "s", "processes")
    assert {runtime["name"] for runtime in stated["runtimes"]} == {"onnxruntime"}
    assert [subject["name"] for subject in data["subject"]] == ["model.onnx"]
    call = ("verify", str(file), "--public-key", str(keys / "k.pub"))
    assert kpi(here, *call).stdout.startswith(f"OK: {PROVEN}, statement and evidence, without the artifact's files")
    (store,) = (here.store / "objects").iterdir()
    assert "with the artifact's files" in kpi(here, *call, "--artifact", str(store)).stdout
    (store / "more.bin").write_bytes(b"")
    assert kpi(here, *call, "--artifact", str(store)).stdout.startswith("more.bin: the statement does not speak of it")
    # What is not proven is stated as it is.
    (too_big,) = (path for path in file.parent.glob("*.intoto.jsonl") if path.name.startswith("stripes-too-big"))
    done = kpi(here, "verify", str(too_big), "--public-key", str(keys / "k.pub"))
    assert done.returncode == 1
    assert done.stdout.startswith("NOT PROVEN: stripes/too big:size is FAIL: ")
    assert kpi(here, *call[:1], str(too_big), *call[2:], "--force").returncode == 0
    # Of other evidence, and without a key.
    forge(here.folder / evidence, here.folder / "other.json", lambda data: data.update(commit="0" * 40))
    done = kpi(here, *call, "--evidence", "other.json")
    assert done.returncode == 1
    assert "it was made of other evidence" in done.stdout
    assert kpi(here, *call[:2]).stderr.startswith("error: a statement is checked with its signer's key")
    assert "are for a statement" in kpi(here, "verify", ".kpi", "--evidence", "other.json").stderr


def test_a_package_signed_with_another_key_is_refused(here: Project, keys: Path) -> None:
    assert kpi(here, "package", PROVEN, "--out", "p", "--key", str(keys / "thief.pem")).returncode == 0
    thief, signer = (read_public(keys / f"{name}.pub").statement.keyid[:12] for name in ("thief", "k"))
    assert differences(here.folder / "p", keys) == [
        "model.sig was signed with another key, or changed after it was signed",
        f"{STATEMENT} was signed with another key ({thief}), not with {signer}",
    ]


def test_a_seal_is_no_signature(here: Project, keys: Path) -> None:
    assert kpi(here, "package", PROVEN, "--out", "p").returncode == 0
    found = differences(here.folder / "p", keys)
    assert found[0].startswith(f"it carries no signature: it has no {SIGNATURE}")
    assert f"{STATEMENT}: is missing" in found
    # Nor with the secret of the seal, which would let its owner forge one.
    file = here.folder / ".kpi/latest/evidence.json"
    forge(file, file, key="secret")
    here.environment[KEY_VARIABLE] = "secret"
    assert kpi(here, "package", PROVEN, "--out", "q").returncode == 0
    done = kpi(here, "verify", "q", "--public-key", str(keys / "k.pub"))
    assert (done.returncode, done.stdout.splitlines()[0]) == (1, found[0])


def respelled(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """The same signature, written otherwise."""
    data = json.loads((folder / SIGNATURE).read_bytes())
    change(data)
    (folder / SIGNATURE).write_bytes(canonical(data))


def other_s(data: dict[str, Any]) -> None:
    (signature,) = data["dsseEnvelope"]["signatures"]
    signature["sig"] = base64.b64encode(other_spelling(base64.b64decode(signature["sig"]))).decode()


def swap(folder: Path, name: str, content: bytes) -> None:
    (folder / name).write_bytes(content)


ATTACKS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no signature": (lambda p: (p / SIGNATURE).unlink(), "it carries no signature"),
    "an empty signature": (lambda p: swap(p, SIGNATURE, b""), "model.sig is not a signature of OpenSSF Model Signing"),
    "a signature that is another's file": (
        lambda p: shutil.copy(p / STATEMENT, p / SIGNATURE),
        "model.sig is not a signature of OpenSSF Model Signing",
    ),
    "a signature with the other s": (lambda p: respelled(p, other_s), "model.sig was changed"),
    "a signature without an empty key id": (
        lambda p: respelled(p, lambda d: d["dsseEnvelope"]["signatures"][0].pop("keyid")),
        "model.sig was signed with another key, or changed",
    ),
    "a signature without an empty log": (
        lambda p: respelled(p, lambda d: d["verificationMaterial"].pop("tlogEntries")),
        "model.sig was signed with another key, or changed",
    ),
    "no statement": (lambda p: (p / STATEMENT).unlink(), f"{STATEMENT}: is missing"),
    "no kpis.toml": (lambda p: (p / "kpis.toml").unlink(), "kpis.toml: is missing"),
    "another kpis.toml": (
        lambda p: swap(p, "kpis.toml", (p / "kpis.toml").read_bytes().replace(b"< 50 ms", b"< 99 ms")),
        "kpis.toml: is not what the run was judged by",
    ),
    "another model": (lambda p: swap(p, MODEL, b"another"), f"{MODEL}: is not what was signed"),
    "a file more": (lambda p: swap(p, "artifact/run.sh", b"rm -rf /"), "artifact/run.sh: is not covered"),
    "a file that git ignores": (lambda p: swap(p, ".gitattributes", b"*"), ".gitattributes: is not covered"),
    "a file in another case": (
        lambda p: swap(p, "artifact/Model.onnx", b"another"),
        "model.onnx: is there twice, as artifact/Model.onnx: they differ in case",
    ),
    "a card that praises": (lambda p: swap(p, "README.md", b"# good"), "README.md: is not what was signed"),
}


@pytest.mark.parametrize("case", ATTACKS)
def test_who_has_no_key_changes_nothing_unseen(folder: Path, keys: Path, case: str) -> None:
    attack, said = ATTACKS[case]
    attack(folder)
    relist(folder)
    found = differences(folder, keys)
    assert any(said in line for line in found), found
    assert all("\n" not in line for line in found)


def test_links_and_other_kinds_of_files_are_not_followed(folder: Path, keys: Path, tmp_path: Path) -> None:
    for name in (SIGNATURE, STATEMENT, MODEL):
        (folder / name).rename(tmp_path / "aside")
        (folder / name).symlink_to(tmp_path / "aside")
        assert f"{name}: is a link" in differences(folder, keys)
        (folder / name).unlink()
        (tmp_path / "aside").rename(folder / name)
    assert differences(folder, keys) == []
    (folder / SIGNATURE).unlink()
    os.mkfifo(folder / SIGNATURE)
    assert f"{SIGNATURE}: is not a plain file" in differences(folder, keys)


def test_a_key_twice_in_the_list_is_refused(folder: Path, keys: Path) -> None:
    file = folder / "package.json"
    file.write_bytes(b'{"kpi": "another",' + file.read_bytes().lstrip()[1:])
    done = kpi(Project(folder.parent, folder.parent / "s"), "verify", str(folder), "--public-key", str(keys / "k.pub"))
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "the key 'kpi' is there twice" in done.stderr


def resign(folder: Path, keys: Path, change: Callable[[dict[str, Any]], None]) -> list[str]:
    """Puts a statement in place that says something else and that the very key signed; what is found of it."""
    data = json.loads(base64.b64decode(json.loads((folder / STATEMENT).read_bytes())["payload"]))
    change(data)
    private = read_private(keys / "k.pem")
    (folder / STATEMENT).write_bytes(signed(json.dumps(data).encode(), private.statement))
    relist(folder)
    return [line for line in differences(folder, keys) if line.startswith(STATEMENT)]


LIES: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "a verdict": (
        lambda d: d["predicate"]["verdicts"][0].update(verdict="FAIL"),
        "verdict is stated as 'FAIL', the evidence says 'PASS'",
    ),
    "a value": (lambda d: d["predicate"]["verdicts"][0].update(value=1e-9), "value is stated as 1e-09"),
    "a verdict less": (lambda d: d["predicate"]["verdicts"].pop(), "its verdicts is not that of the evidence"),
    "attempts": (lambda d: d["predicate"]["verdicts"][0].update(attempt=7), "attempt is stated as 7"),
    "criteria": (lambda d: d["predicate"]["criteria"].update(sha256="0" * 64), "its criteria is not that"),
    "machine": (
        lambda d: d["predicate"]["machines"][""].update(cpu="Better CPU"),
        "its machines is not that of the evidence",
    ),
    "another KPI": (lambda d: d["predicate"].update(kpi="elsewhere"), 'is about the KPI "elsewhere"'),
    "an unknown KPI": (lambda d: d["predicate"].update(kpi="none"), "of which the evidence says nothing"),
    "another artifact": (lambda d: d["subject"][0]["digest"].update(sha256="0" * 64), "is about another artifact"),
    "more files": (
        lambda d: d["subject"].append({**d["subject"][0], "name": "more.bin"}),
        "it is about another artifact: its files are not those that are here",
    ),
    "the same file twice": (lambda d: d["subject"].append(d["subject"][0]), "not files with names of their own"),
    "no file": (lambda d: d["subject"].clear(), "not files with names of their own"),
    "other evidence": (lambda d: d["predicate"]["evidence"].update(sha256="0" * 64), "it was made of other evidence"),
    "another predicate": (lambda d: d.update(predicateType="https://slsa.dev/provenance/v1"), "it states"),
    "another type": (lambda d: d.update(_type="https://in-toto.io/Statement/v0.1"), "expected is https://in-toto.io"),
    "less": (lambda d: d["predicate"].pop("criteria"), "is not a statement of verdicts"),
}


@pytest.mark.parametrize("case", LIES)
def test_what_the_signer_states_must_follow_from_the_evidence(folder: Path, keys: Path, case: str) -> None:
    change, said = LIES[case]
    found = resign(folder, keys, change)
    assert any(said in line for line in found), found


def test_changed_bytes_are_found_wherever_they_are(
    packed: Path, keys: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert changed_bytes([str(packed), str(keys / "k.pub"), "--changes", "72"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 9
    assert all(line.endswith(": 8 of 8 changes found") for line in said), said
    assert {line.partition(":")[0] for line in said} >= {STATEMENT, SIGNATURE, "kpis.toml", "evidence.json", MODEL}


def test_private_keys_are_in_nothing_that_is_written(here: Project, keys: Path) -> None:
    done = [
        kpi(here, "package", PROVEN, "--out", "p", "--key", str(keys / "k.pem")),
        kpi(here, "attest", ".kpi/latest/evidence.json", "--key", str(keys / "k.pem")),
    ]
    lines = [line for line in (keys / "k.pem").read_text().splitlines() if not line.startswith("-----")]
    written = [path.read_bytes() for path in here.folder.parent.rglob("*") if path.is_file()]
    assert len(written) > 20
    for line in lines:
        assert not any(line.encode() in content for content in written)
        assert not any(line in each.stdout + each.stderr for each in done)


def test_keys_that_can_not_sign_a_package_are_one_line(here: Project, keys: Path, tmp_path: Path) -> None:
    blocks = (keys / "k.pem").read_text().partition("-----END PRIVATE KEY-----\n")
    (tmp_path / "ed.pem").write_text(blocks[2])
    for key, said in (
        ("nowhere", "nowhere can't be read: No such file or directory"),
        (str(keys / "k.pub"), "holds a PUBLIC KEY: it can't sign"),
        (str(tmp_path / "ed.pem"), "ed.pem does not begin with a P-256 key, which OpenSSF Model Signing needs"),
    ):
        done = kpi(here, "package", PROVEN, "--out", "p", "--key", key)
        assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
        assert said in done.stderr
    assert not (here.folder / "p").exists()
    # A statement needs no more than it.
    assert "proven" in kpi(here, "attest", ".kpi/latest/evidence.json", "--key", str(tmp_path / "ed.pem")).stdout


def test_an_envelope_without_a_signature_or_with_two(folder: Path, keys: Path) -> None:
    data = json.loads((folder / STATEMENT).read_bytes())
    assert data["payloadType"] == PAYLOAD_TYPE
    for signatures, said in (([], "carries no signature"), (data["signatures"] * 2, "carries 2 signatures")):
        (folder / STATEMENT).write_bytes(canonical({**data, "signatures": signatures}))
        relist(folder)
        assert any(f"{STATEMENT} {said}" in line for line in differences(folder, keys))


def test_a_key_with_a_passphrase_signs_as_any_other(here: Project, keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PASSPHRASE, "open sesame")
    assert kpi(here, "package", PROVEN, "--out", "o", "--key", str(keys / "k.pem")).returncode == 0  # not encrypted
    make_keys(here.folder / "k")
    assert kpi(here, "package", PROVEN, "--out", "p", "--key", "k.pem").returncode == 0
    monkeypatch.delenv(PASSPHRASE)
    assert kpi(here, "verify", "p", "--public-key", "k.pub").returncode == 0
    done = kpi(here, "package", PROVEN, "--out", "q", "--key", "k.pem")
    assert (done.returncode, done.stderr) == (
        1,
        f"error: k.pem is protected by a passphrase (set {PASSPHRASE})\n",
    )


@pytest.mark.long
def test_a_stranger_verifies_in_a_fresh_environment_without_torch(packed: Path, keys: Path, tmp_path: Path) -> None:
    """It has the package, the public key and what `pip install .[verify]` brings, nothing else."""
    home = tmp_path / "env"
    subprocess.run([sys.executable, "-m", "venv", home], check=True)
    install = [home / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", f"{ROOT}[verify]"]
    subprocess.run(install, check=True, cwd=tmp_path)
    shutil.copytree(packed, tmp_path / "p")
    shutil.copy(keys / "k.pub", tmp_path)
    call = [home / "bin/kpi", "verify", "p", "--public-key", "k.pub"]
    variables = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    done = subprocess.run(call, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"OK: {PROVEN}, 9 files, ")
    folders = {path.name for path in (home / "lib").glob("python*/site-packages/*")}
    assert not {"torch", "openvino", "model_signing", "sigstore"} & folders


@pytest.mark.parametrize("package", [".", "../made.zip"])
def test_no_code_of_a_package_is_run(folder: Path, keys: Path, package: str) -> None:
    """Who unpacks a package and verifies it there has its kpis.toml in the folder of the call."""
    zipped(folder)
    (folder / "evil").mkdir()
    (folder / "evil/__init__.py").write_text(f"open({str(folder.parent / 'mark')!r}, 'w')")
    (folder / "kpis.toml").write_text('plugins = ["evil"]\n')
    here = Project(folder, folder.parent / "s")
    done = here.cli("verify", package, "--public-key", str(keys / "k.pub"))
    assert not (folder.parent / "mark").exists()
    assert done.returncode == (1 if package == "." else 0)
    # Where the caller names it, it is the caller's own.
    here.cli("verify", package, "--kpis", "kpis.toml")
    assert (folder.parent / "mark").exists()
